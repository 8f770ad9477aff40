package volume

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// upgradedTo commits versions one after another, without a boot of any.
func upgradedTo(t *testing.T, v *Volume, versions ...string) {
	t.Helper()
	for _, version := range versions {
		publish(t, v, thin(version))
		op := opTo(version)
		op.From = v.State().Current
		must(t, v.Begin(*op))
		must(t, v.Commit(false))
		must(t, v.Finish())
	}
}

func TestBootsAreCountedUntilOneWentWell(t *testing.T) {
	v := seeded(t)
	boots := func(want int) {
		t.Helper()
		if got := v.State().Releases["1.0.0"].Boots; got != want {
			t.Errorf("%d boots are counted, want %d", got, want)
		}
	}
	must(t, v.CountBoot("1.0.0", time.Now()))
	v = crash(t, v)
	must(t, v.CountBoot("1.0.0", time.Now()))
	boots(2)
	must(t, v.DiscountBoot("1.0.0"))
	boots(1)
	must(t, v.Prove("1.0.0"))
	proven := v.State().Generation
	must(t, v.CountBoot("1.0.0", time.Now()))
	must(t, v.Prove("1.0.0"))
	boots(0)
	if got := v.State().Generation; got != proven {
		t.Errorf("boots of a release that is proven were recorded: %d writes", got-proven)
	}
	must(t, v.Seed("1.0.0", "again"))
	if v.State().Releases["1.0.0"].Unproven {
		t.Error("what has run well once is unproven again")
	}
}

func TestBootsThatFollowOneAnotherFastDoNotSpendARelease(t *testing.T) {
	v := seeded(t)
	first := time.Now()
	spent := func(after time.Duration, want bool) {
		t.Helper()
		must(t, v.CountBoot("1.0.0", first.Add(after)))
		v = crash(t, v)
		if r := v.State().Releases["1.0.0"]; r.Spent(3, time.Minute) != want || r.Spent(0, 0) {
			t.Errorf("%s after the first one, boot %d: spent %v", after, r.Boots, !want)
		}
	}
	spent(0, false)
	spent(time.Second, false)
	spent(4*time.Second, false)
	spent(59*time.Second, false)
	spent(time.Minute, true)
	spent(-time.Hour, true) // the clock was put back
	for range 6 {
		must(t, v.DiscountBoot("1.0.0"))
	}
	spent(time.Hour, false) // it is the first one
	spent(2*time.Hour, false)
	spent(3*time.Hour, true)
	must(t, v.Prove("1.0.0"))
	if r := v.State().Releases["1.0.0"]; !r.FirstBoot.IsZero() || !r.LastBoot.IsZero() || r.Spent(3, 0) {
		t.Errorf("what has run well has %+v", r)
	}
}

func TestWhatWasBootedForItsUpgradeIsProven(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	must(t, v.Begin(*opTo("1.1.0")))
	must(t, v.CountBoot("1.1.0", time.Now())) // on trial: it is not what boots
	must(t, v.Commit(true))
	if r := v.State().Releases["1.1.0"]; r.Unproven || r.Boots != 0 {
		t.Errorf("it is unproven after %d boots", r.Boots)
	}
}

func TestAReleaseInQuarantineIsLeftInEveryWay(t *testing.T) {
	v := seeded(t)
	upgradedTo(t, v, "1.1.0", "1.2.0")
	for range 3 {
		must(t, v.CountBoot("1.2.0", time.Now()))
	}
	must(t, v.Begin(Operation{ID: "u", Kind: "rollback", From: "1.2.0", To: "1.0.0"}))
	if err := v.Quarantine("1.2.0", "1.1.0", Failure{}); !errors.Is(err, ErrBusy) {
		t.Errorf("in an operation: %v", err)
	}
	must(t, v.Abort(nil))
	must(t, v.Quarantine("1.2.0", "1.1.0", Failure{Reason: "three boots"}))
	v = crash(t, v)
	s := v.State()
	if s.Current != "1.1.0" || s.Previous != "1.0.0" || !s.Quarantined("1.2.0") || s.Failed["1.2.0"].Boots != 3 {
		t.Errorf("the state is %+v", s)
	}
	if diff := cmp.Diff([]string{"1.0.0"}, s.Fallbacks("1.1.0")); diff != "" {
		t.Error(diff)
	}
	if why, is := s.GivenUp(s.Releases["1.2.0"].Package); !is || why.Reason != "three boots" {
		t.Errorf("an image that brings it is not known: %+v", why)
	}
	// A failed attempt to upgrade to it leaves it there; it is older than nothing, and goes last; and it may be removed.
	must(t, v.Begin(Operation{ID: "u", Kind: "upgrade", From: "1.1.0", To: "1.2.0"}))
	must(t, v.Abort(&Failure{Reason: "again"}))
	s = v.State()
	if got := s.surplus(Keep{Releases: 1}, "1.1.0", nil).Versions; !s.Quarantined("1.2.0") || !cmp.Equal(got, []string{"1.2.0"}) {
		t.Errorf("quarantined: %v, surplus: %v", s.Quarantined("1.2.0"), got)
	}
	digest := s.Releases["1.2.0"].Package
	must(t, v.Remove("1.2.0"))
	if _, is := v.State().GivenUp(digest); !is || !strings.Contains(read(t, v.statePath()), `"schema":3`) {
		t.Error("its package may be seeded again")
	}
}

func TestRetentionRemovesWhatIsInQuarantineLast(t *testing.T) {
	v := seeded(t)
	upgradedTo(t, v, "1.1.0")
	must(t, v.Quarantine("1.1.0", "1.0.0", Failure{}))
	upgradedTo(t, v, "1.2.0", "1.3.0")
	got, err := v.Surplus(Keep{Releases: 3}, "1.3.0")
	if diff := cmp.Diff([]string{"1.0.0"}, got.Versions); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAnUpgradeIsTheWayOutOfQuarantine(t *testing.T) {
	v := seeded(t)
	upgradedTo(t, v, "1.1.0")
	must(t, v.CountBoot("1.1.0", time.Now()))
	must(t, v.Quarantine("1.1.0", "1.0.0", Failure{}))
	must(t, v.Begin(*opTo("1.1.0")))
	must(t, v.Commit(false))
	s := v.State()
	if r := s.Releases["1.1.0"]; s.Quarantined("1.1.0") || s.Current != "1.1.0" || !r.Unproven || r.Boots != 0 {
		t.Errorf("the state is %+v", s)
	}
	// What an operation wanted to leave may have been given up meanwhile.
	must(t, v.Finish())
	must(t, v.Quarantine("1.1.0", "1.0.0", Failure{}))
	if err := v.Begin(Operation{ID: "u", Kind: "upgrade", From: "1.1.0", To: "1.2.0"}); err == nil || v.State().Operation != nil {
		t.Errorf("an operation begins from what was given up: %v", err)
	}
}
