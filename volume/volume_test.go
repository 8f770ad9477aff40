package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSeedPublishesAllButWhatWouldOverwriteTheVolumesOwnFiles(t *testing.T) {
	v := seeded(t)
	want := []string{
		"erts-13.1.5 ->",
		"lib",
		"lib/demo-1.0.0", "lib/demo-1.0.0/ebin", "lib/demo-1.0.0/ebin/demo.app", "lib/demo-1.0.0/ebin/demo.beam",
		"lib/greet-1.0.0", "lib/greet-1.0.0/ebin", "lib/greet-1.0.0/ebin/greet.app", "lib/greet-1.0.0/ebin/greet.beam",
		"lib/kernel-8.5.3 ->",
		"lib/stdlib-4.2 ->",
		"log",
		"releases",
		"releases/1.0.0", "releases/1.0.0/MANIFEST", "releases/1.0.0/demo.rel", "releases/1.0.0/start.boot",
		"releases/1.0.0/sys.config", "releases/1.0.0/vm.args",
	}
	var got []string
	for _, name := range list(t, v.Root()) {
		if !strings.HasPrefix(name, agentDir) {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the volume (-want +got):\n%s", diff)
	}
	s := v.State()
	r := s.Releases["1.0.0"]
	if s.Current != "1.0.0" || s.Previous != "" || len(s.Seeds) != 1 || s.Seeds[0] != r.Package {
		t.Errorf("the state is %+v", s)
	}
	if diff := cmp.Diff([]string{"lib/demo-1.0.0", "lib/greet-1.0.0"}, r.Own); diff != "" {
		t.Error(diff)
	}
	if r.Libs[2].Stays() || !r.Libs[3].Stays() {
		t.Errorf("which applications start: %+v", r.Libs)
	}
	if err := v.Verify("1.0.0"); err != nil {
		t.Error(err)
	}
	if got, want := v.RelFile("1.0.0"), v.Path("releases/1.0.0/demo.rel"); got != want {
		t.Errorf("RelFile = %s", got)
	}
}

func TestPublishAgainIsNothingNew(t *testing.T) {
	v := seeded(t)
	before := v.State()
	r := publish(t, v, thin("1.0.0"))
	if diff := cmp.Diff(before, v.State()); diff != "" {
		t.Errorf("the state has changed:\n%s", diff)
	}
	if diff := cmp.Diff(before.Releases["1.0.0"], r); diff != "" {
		t.Error(diff)
	}
	// The same files, packed in another order, are the same release.
	members := thin("1.0.0")
	members[0], members[1] = members[1], members[0]
	publish(t, v, members)
	if leftovers := append(list(t, v.agentPath("stage")), list(t, v.agentPath("trash"))...); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestAnotherReleaseOfTheSameVersionIsRefused(t *testing.T) {
	v := seeded(t)
	members := without("vm.args", thin("1.0.0"))
	_, err := stage(t, v, members).Publish(image(t))
	refusedWith(t, err, ConflictingRelease)
}

func TestAnApplicationWithOtherContentIsRefusedAndNothingChanges(t *testing.T) {
	v := seeded(t)
	members := append(without("greet.beam", thin("1.1.0")), file("lib/greet-1.0.0/ebin/greet.beam", "other"))
	before := list(t, v.Path(libDir))
	_, err := stage(t, v, members).Publish(image(t))
	refusal := refusedWith(t, err, ConflictingLib)
	if want := "lib/greet-1.0.0/ebin/greet.beam"; !strings.Contains(refusal.Error(), want) {
		t.Errorf("%v does not name %s", refusal, want)
	}
	if diff := cmp.Diff(before, list(t, v.Path(libDir))); diff != "" {
		t.Errorf("lib has changed:\n%s", diff)
	}
	if err := v.Verify("1.0.0"); err != nil {
		t.Error(err)
	}
}

// TestARollbackLeadsToWhatRan: not to the release that should have booted and was unusable.
func TestARollbackLeadsToWhatRan(t *testing.T) {
	v := seeded(t)
	for _, version := range []string{"1.1.0", "1.2.0"} {
		publish(t, v, thin(version))
	}
	must(t, v.Seed("1.1.0", v.State().Releases["1.1.0"].Package))
	must(t, v.Begin(Operation{ID: "u1", Kind: "upgrade", From: "1.0.0", To: "1.2.0"}))
	must(t, v.Commit(false))
	if s := v.State(); s.Current != "1.2.0" || s.Previous != "1.0.0" {
		t.Errorf("after the commit: %+v", s)
	}
}

func TestCommitDecidesWhatBoots(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	op := Operation{ID: "u1", Kind: "upgrade", From: "1.0.0", To: "1.1.0", Phase: "installing", Started: time.Now()}
	if err := v.Begin(op); err != nil {
		t.Fatal(err)
	}
	if err := v.Begin(op); !errors.Is(err, ErrBusy) {
		t.Errorf("a second operation: %v", err)
	}
	if err := v.Advance("probation"); err != nil {
		t.Fatal(err)
	}
	v = crash(t, v)
	if s := v.State(); s.Current != "1.0.0" || s.Operation.Phase != "probation" {
		t.Errorf("before the commit: %+v", s)
	}
	if err := v.Commit(false); err != nil {
		t.Fatal(err)
	}
	v = crash(t, v)
	if s := v.State(); s.Current != "1.1.0" || s.Previous != "1.0.0" || s.Operation.Phase != PhaseCommitted {
		t.Errorf("after the commit: %+v", s)
	}
	if err := v.Abort(nil); !errors.Is(err, ErrCommitted) {
		t.Errorf("an abort after the commit: %v", err)
	}
	if err := v.Finish(); err != nil || v.State().Operation != nil {
		t.Errorf("finished: %v, %+v", err, v.State().Operation)
	}
}

func TestAbortRecordsTheFailure(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	if err := v.Begin(Operation{ID: "u1", Kind: "upgrade", From: "1.0.0", To: "1.1.0"}); err != nil {
		t.Fatal(err)
	}
	failure := Failure{Upgrade: "u1", Reason: "code_change crashed", At: time.Unix(1, 0).UTC()}
	if err := v.Abort(&failure); err != nil {
		t.Fatal(err)
	}
	s := crash(t, v).State()
	if diff := cmp.Diff(map[string]Failure{"1.1.0": failure}, s.Failed); diff != "" || s.Operation != nil || s.Current != "1.0.0" {
		t.Errorf("%+v\n%s", s, diff)
	}
}

func TestStateIsACopy(t *testing.T) {
	v := seeded(t)
	s := v.State()
	s.Releases["1.0.0"].Libs[0].App = "changed"
	delete(s.Releases, "1.0.0")
	if app := v.State().Releases["1.0.0"].Libs[0].App; app != "kernel" {
		t.Errorf("the volume's own state has changed: %q", app)
	}
}

func TestDamagedStateIsNeverTakenForNone(t *testing.T) {
	v := seeded(t)
	good := read(t, v.statePath())
	for name, broken := range map[string]string{
		"empty":         "",
		"cut":           good[:len(good)/2],
		"other version": strings.Replace(good, `"current":"1.0.0"`, `"current":"9.9.9"`, 1),
	} {
		write(t, v.statePath(), broken)
		v.lock.Close()
		if _, err := Open(v.root); !errors.Is(err, ErrDamagedState) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(v.statePath()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(v.root); !errors.Is(err, ErrForeign) {
		t.Errorf("without state.json: %v", err)
	}
}

func TestStateOfANewerAgentIsRefused(t *testing.T) {
	v := seeded(t)
	s := v.State()
	s.Schema = schema + 1
	content, err := encodeState(s)
	if err != nil {
		t.Fatal(err)
	}
	write(t, v.statePath(), string(content))
	v.lock.Close()
	if _, err := Open(v.root); !errors.Is(err, ErrNewerState) {
		t.Error(err)
	}
}

func TestAVolumeThatCannotBeOpenedNamesTheWayOut(t *testing.T) {
	for cause, want := range map[error]string{
		fs.ErrPermission: "chown -R ",
		unix.EROFS:       "mount it so that the agent can write",
		ErrDamagedState:  "empty the volume to begin anew",
		ErrForeign:       "empty the volume to begin anew",
		ErrNewerState:    "start the newer image",
	} {
		if err := openError("/volume", cause); !errors.Is(err, cause) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", cause, err, want)
		}
	}
}

func TestHistorySurvivesATornLine(t *testing.T) {
	v := seeded(t)
	if lines, err := v.History(0); len(lines) != 0 || err != nil {
		t.Errorf("a new volume's history: %s, %v", lines, err)
	}
	for n := range 3 {
		if err := v.RecordHistory(map[string]int{"n": n}, true); err != nil {
			t.Fatal(err)
		}
	}
	write(t, v.historyPath(), read(t, v.historyPath())+`{"n":3,"te`)
	v = crash(t, v)
	if err := v.RecordHistory(map[string]int{"n": 4}, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	lines, err := v.History(3)
	for _, line := range lines {
		got = append(got, string(line))
	}
	if diff := cmp.Diff([]string{`{"n":1}`, `{"n":2}`, `{"n":4}`}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestDetectImageFollowsTheLinksOfErl(t *testing.T) {
	want := image(t)
	erl := filepath.Join(t.TempDir(), "erl")
	if err := os.Symlink(filepath.Join(want.OTPRoot, "bin/erl"), erl); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is another ERTS, and start_erl.data to choose
		got, err := DetectImage(erl)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(err, diff)
		}
		write(t, filepath.Join(want.OTPRoot, "releases/start_erl.data"), "13.1.5 25")
		if err := os.MkdirAll(filepath.Join(want.OTPRoot, "erts-12.0"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
