package volume

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wantedOn is a volume on which 1.0.0 boots, and 1.1.0 was unpacked for later.
func wantedOn(t *testing.T) *Volume {
	t.Helper()
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	must(t, v.Begin(Operation{ID: "u", Kind: "unpack", From: "1.0.0", To: "1.1.0"}))
	must(t, v.Want())
	return v
}

func TestWhatIsWantedForLaterStaysUntilItWasInstalled(t *testing.T) {
	v := crash(t, wantedOn(t))
	if report, err := v.Recover(); err != nil || len(report) > 0 {
		t.Errorf("%v, %v", report, err)
	}
	must(t, v.Verify("1.1.0"))
	if r := v.State().Releases["1.1.0"]; !r.Wanted || r.Unborn() || !strings.Contains(read(t, v.statePath()), `"schema":4,`) {
		t.Errorf("it is recorded as %+v", r)
	}
	must(t, v.Begin(*opTo("1.1.0")))
	must(t, v.Commit(true))
	must(t, v.Finish())
	if text := read(t, v.statePath()); strings.Contains(text, "wanted") || strings.Contains(text, `"schema":4,`) {
		t.Errorf("it is still wanted: %s", text)
	}
}

func TestWhatAWayLeadsOverStays(t *testing.T) {
	v := wantedOn(t)
	publish(t, v, thin("1.2.0"))
	must(t, v.Begin(Operation{ID: "u", Kind: "upgrade", From: "1.0.0", To: "1.2.0", Via: []string{"1.1.0"}}))
	stays := func(when string) {
		t.Helper()
		v = crash(t, v)
		if err := v.Remove("1.1.0"); err == nil {
			t.Errorf("%s: it was removed", when)
		}
		if surplus, err := v.Surplus(Keep{Releases: 1}, v.State().Current); err != nil || len(surplus.Versions) > 0 {
			t.Errorf("%s: to be removed are %v, %v", when, surplus.Versions, err)
		}
	}
	stays("on the way")
	must(t, v.Commit(true))
	must(t, v.Finish())
	stays("on the way back")
	if s := v.State(); !s.OnTheWayBack("1.1.0") || s.RollbackTarget() != "1.0.0" || !cmp.Equal(s.Via, []string{"1.1.0"}) {
		t.Errorf("%+v", s)
	}
	must(t, v.Begin(Operation{ID: "r", Kind: KindRollback, From: "1.2.0", To: "1.0.0", Via: []string{"1.1.0"}}))
	must(t, v.Commit(true))
	must(t, v.Finish())
	must(t, v.Remove("1.1.0")) // no way leads over it
}

// TestARollbackIsWhatLeavesARelease, whichever of the two is the older one.
func TestARollbackIsWhatLeavesARelease(t *testing.T) {
	v := seeded(t)
	upgradedTo(t, v, "1.1.0")
	for _, c := range []struct{ kind, to, target string }{
		{KindRollback, "1.0.0", ""},
		{KindRollback, "1.1.0", "1.0.0"}, // there and back
		{"install", "1.0.0", "1.1.0"},
		{"upgrade", "1.1.0", "1.0.0"},
		{KindRollback, "1.0.0", ""},
		{"install", "1.1.0", "1.0.0"},
	} {
		must(t, v.Begin(Operation{ID: "x", Kind: c.kind, From: v.State().Current, To: c.to}))
		must(t, v.Commit(true))
		must(t, v.Finish())
		v = crash(t, v)
		if got := v.State().RollbackTarget(); got != c.target {
			t.Errorf("after %s to %s a rollback leads to %q, not %q", c.kind, c.to, got, c.target)
		}
	}
	must(t, v.Begin(Operation{ID: "x", Kind: KindRollback, From: "1.1.0", To: "1.0.0"}))
	must(t, v.Commit(true))
	must(t, v.Finish())
	must(t, v.Remove("1.1.0"))
	if s := v.State(); s.Left != "" || s.Previous != "" {
		t.Errorf("what was removed is still there: %+v", s)
	}
}

// TestADerivedRelupStaysWithACommitAlone, and agents that know nothing of it read the volume before and behind the operation.
func TestADerivedRelupStaysWithACommitAlone(t *testing.T) {
	v := wantedOn(t)
	relup := v.Path("releases/1.1.0/relup")
	if err := v.PlaceRelup([]byte("1")); !errors.Is(err, ErrNoOperation) {
		t.Errorf("without an operation: %v", err)
	}
	for _, c := range []struct {
		end  func() error
		text string
	}{
		{func() error { return v.Abort(nil) }, ""},
		{func() error { return errors.Join(v.Commit(true), v.Abort(nil)) }, "3"},
	} {
		must(t, v.Begin(*opTo("1.1.0")))
		must(t, v.PlaceRelup([]byte("2")))
		must(t, v.PlaceRelup([]byte("3"))) // every act may run twice
		if text := read(t, v.statePath()); !strings.Contains(text, `"schema":5,`) {
			t.Errorf("while it is under way: %s", text)
		}
		v = crash(t, v)
		if err := c.end(); err != nil && !errors.Is(err, ErrCommitted) {
			t.Fatal(err)
		}
		_ = v.Finish()
		if text := read(t, v.statePath()); strings.Contains(text, `"schema":5,`) || strings.Contains(text, "derived") {
			t.Errorf("when it is over: %s", text)
		}
		if got, err := os.ReadFile(relup); string(got) != c.text || c.text != "" && err != nil {
			t.Errorf("there is the relup %q, %v", got, err)
		}
	}
	publish(t, v, append(thin("1.2.0"), file("releases/1.2.0/relup", `{"1.2.0",[],[]}.`)))
	must(t, v.Begin(Operation{ID: "u", Kind: "upgrade", From: "1.1.0", To: "1.2.0"}))
	if err := v.PlaceRelup([]byte("1")); err == nil || v.State().Operation.Derived {
		t.Errorf("in the place of one that the package has brought: %v", err)
	}
}
