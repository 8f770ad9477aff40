package rpc_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc"
	"theseus/rpc/term"
)

// root is a release root made by the OTP under test: cnt 1.0.0 permanent, 1.1.0 beside it.
type root struct{ dir, erts string }

func makeRoot(t *testing.T) root {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "src"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	e := start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: dir})
	n := e.connect(t)
	src := dir + "/src"
	call(t, n, "compile", "file", term.String(src+"/mk"), term.List{term.Tuple{term.Atom("outdir"), term.String(src)}})
	call(t, n, "code", "load_abs", term.String(src+"/mk"))
	erts := call(t, n, "mk", "release", term.String(src), term.String(dir)).(term.String)
	return root{dir, string(erts)}
}

// boot starts a version of the release as the agent does: erlexec, with the root as ROOTDIR.
func (r root) boot(t *testing.T, version string) *erlang {
	t.Helper()
	bin := r.dir + "/erts-" + r.erts + "/bin"
	return start(t, boot{
		program: bin + "/erlexec", name: "-name", host: "127.0.0.1", dir: r.dir,
		env:   []string{"ROOTDIR=" + r.dir, "BINDIR=" + bin, "EMU=beam", "PROGNAME=erl"},
		flags: []string{"-boot", r.dir + "/releases/" + version + "/start", "-mode", "embedded"},
	})
}

func (r root) rel(version string) string { return r.dir + "/releases/" + version + "/cnt.rel" }

// startRelease boots 1.0.0 and makes 1.1.0 known to it.
func startRelease(t *testing.T) (*erlang, *rpc.Node) {
	t.Helper()
	r := makeRoot(t)
	e := r.boot(t, "1.0.0")
	n := e.connect(t)
	waitFor(t, "the release to run", func() bool {
		_, provided, err := n.InitStatus(t.Context())
		return err == nil && provided == "started"
	})
	if err := n.SetUnpacked(t.Context(), r.rel("1.1.0")); err != nil {
		t.Fatal(err)
	}
	return e, n
}

func statuses(t *testing.T, n *rpc.Node) map[string]rpc.Status {
	t.Helper()
	releases, err := n.WhichReleases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]rpc.Status{}
	for _, r := range releases {
		if r.Name != "cnt" || !slices.Contains(r.Libs, "cnt-"+r.Version) {
			t.Errorf("release %+v", r)
		}
		got[r.Version] = r.Status
	}
	return got
}

func counter(t *testing.T, n *rpc.Node, request string) string {
	t.Helper()
	return term.Format(call(t, n, "gen_server", "call", term.Atom("cnt"), term.Atom(request)))
}

// patient waits longer for a process than OTP does by default: one that is late would be left out.
var patient = rpc.InstallOptions{CodeChangeTimeout: time.Minute, SuspendTimeout: time.Minute}

func TestUpgradeAndDowngradeKeepTheStateOfAProcess(t *testing.T) {
	_, n := startRelease(t)
	counter(t, n, "next")

	install := func(to string) {
		t.Helper()
		want := rpc.Installed{From: "1.0.0"}
		if got, err := n.CheckInstallRelease(t.Context(), to, true); got != want || err != nil {
			t.Fatalf("check of %s: %+v, %v", to, got, err)
		}
		if got, err := n.InstallRelease(t.Context(), to, patient); got != want || err != nil {
			t.Fatalf("install of %s: %+v, %v", to, got, err)
		}
	}

	install("1.1.0")
	if got := counter(t, n, "state"); got != "{state,1,upgraded}" {
		t.Errorf("after the upgrade the state is %s", got)
	}
	if d := cmp.Diff(map[string]rpc.Status{"1.0.0": rpc.Permanent, "1.1.0": rpc.Current}, statuses(t, n)); d != "" {
		t.Error(d)
	}
	if err := n.MakePermanent(t.Context(), "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]rpc.Status{"1.0.0": rpc.Old, "1.1.0": rpc.Permanent}, statuses(t, n)); d != "" {
		t.Error(d)
	}
	install("1.0.0")
	if got := counter(t, n, "state"); got != "{state,1}" {
		t.Errorf("after the downgrade the state is %s", got)
	}
	if err := n.MakePermanent(t.Context(), "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if err := n.SetRemoved(t.Context(), "1.1.0"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]rpc.Status{"1.0.0": rpc.Permanent}, statuses(t, n)); d != "" {
		t.Error(d)
	}
}

func TestARefusedReleaseCallSaysWhyInAStableWord(t *testing.T) {
	_, n := startRelease(t)
	ctx := t.Context()
	check := func(v string) error { _, err := n.CheckInstallRelease(ctx, v, false); return err }
	install := func(v string) error { _, err := n.InstallRelease(ctx, v, rpc.InstallOptions{}); return err }
	for _, c := range []struct {
		name, code, text string
		err              error
	}{
		{"check of an unknown release", rpc.CodeNoSuchRelease, "cannot check install release 9.9.9: the node knows no release 9.9.9", check("9.9.9")},
		{"install of an unknown release", rpc.CodeNoSuchRelease, "cannot install release 9.9.9: the node knows no release 9.9.9", install("9.9.9")},
		{"commit of an unpacked release", rpc.CodeBadStatus, "cannot make permanent 1.1.0: its status is unpacked", n.MakePermanent(ctx, "1.1.0")},
		{"removal of the permanent release", rpc.CodeBadStatus, "cannot set removed 1.0.0: release 1.0.0 is permanent", n.SetRemoved(ctx, "1.0.0")},
		{"a release file that is not there", rpc.CodeNoSuchFile, "cannot set unpacked /x.rel: there is no file /x.rel", n.SetUnpacked(ctx, "/x.rel")},
	} {
		var refused *rpc.ReleaseError
		if !errors.As(c.err, &refused) {
			t.Errorf("%s: %v", c.name, c.err)
			continue
		}
		if got := []string{refused.Code(), refused.Error()}; !cmp.Equal(got, []string{c.code, c.text}) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestAFailedCodeChangeEndsTheNode(t *testing.T) {
	e, n := startRelease(t)
	call(t, n, "gen_server", "cast", term.Atom("cnt"), term.Atom("break"))
	_, err := n.InstallRelease(t.Context(), "1.1.0", patient)
	var failed *rpc.ReleaseError
	if !errors.As(err, &failed) || failed.Code() != rpc.CodeCodeChangeFailed {
		t.Errorf("got %v", err)
	}
	<-n.Done()
	<-e.exited
}

func TestTheNodeTellsWhatRunsInIt(t *testing.T) {
	_, n := startRelease(t)
	ctx := t.Context()
	running, err := n.Applications(ctx)
	if err != nil || !slices.Contains(running, rpc.App{Name: "cnt", Version: "1.0.0"}) {
		t.Errorf("applications %v, %v", running, err)
	}
	var value strings.Builder
	if err := n.Evaluate(ctx, `io:format("lost"), #{<<"version">> => [1, a]}.`, &value); err != nil || value.String() != `{"version":[1,"a"]}` {
		t.Errorf("evaluated to %s, %v", &value, err)
	}
}

func TestABusyProcessIsFoundAmongAThousandThatWait(t *testing.T) {
	_, n := startRelease(t)
	call(t, n, "cnt_sup", "more", int64(1000))
	started := time.Now()
	busy, err := n.Busy(t.Context(), []string{"cnt"}, time.Minute)
	if err != nil || len(busy) != 0 {
		t.Fatalf("of waiting processes busy are %v, %v", busy, err)
	}
	t.Logf("asked 1001 processes in %s", time.Since(started))

	call(t, n, "gen_server", "cast", term.Atom("cnt"), term.Tuple{term.Atom("sleep"), int64(600_000)})
	busy, err = n.Busy(t.Context(), []string{"cnt"}, 5*time.Second)
	if err != nil || len(busy) != 1 || busy[0].Name != "cnt" {
		t.Errorf("busy are %v, %v", busy, err)
	}
	if busy, err = n.Busy(t.Context(), []string{"cnt_sup", "release_handler"}, time.Minute); err != nil || len(busy) != 0 {
		t.Errorf("busy are %v, %v", busy, err)
	}
}

// TestAProcessThatAnswersTheSecondTimeIsNotBusy: it was the node that was held up.
func TestAProcessThatAnswersTheSecondTimeIsNotBusy(t *testing.T) {
	_, n := startRelease(t)
	call(t, n, "gen_server", "cast", term.Atom("cnt"), term.Tuple{term.Atom("sleep"), int64(15_000)})
	if busy, err := n.Busy(t.Context(), []string{"cnt"}, 10*time.Second); err != nil || len(busy) != 0 {
		t.Errorf("busy are %v, %v", busy, err)
	}
}
