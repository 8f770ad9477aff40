package upgrade

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
)

// drifts are the events that tell of a drift.
func (s *stage) drifts() (texts []string) {
	for _, e := range s.events {
		if e.Kind == "node.drifted" {
			texts = append(texts, e.Message)
		}
	}
	return texts
}

// upgradeThrough plays an upgrade that has such a script, and ends like this.
func upgradeThrough(t *testing.T, script string, tolerate bool, want string) *stage {
	s := newStage(t, script, demo("1.0.0", ""))
	s.engine.TolerateDrift = tolerate
	s.upgrade(second())
	s.ends(want)
	return s
}

func TestWhatHadDriftedBeforeIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgradeThrough(t, "drift:else installed.drift:else", false, "probation: committed, 1.1.0 runs, warned")
		told := s.drifts()
		if len(told) != 1 || told[0] != "the node is not what demo 1.0.0 is: module-differs code" {
			t.Errorf("told %q", told)
		}
		if warned := s.result().Warnings; len(warned) != 1 || warned[0] != told[0] {
			t.Errorf("warned of %q", warned)
		}
	})
}

func TestAParameterThatAnInstallationResetsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgradeThrough(t, "drift:set", false, "probation: committed, 1.1.0 runs, warned")
		if told := s.drifts(); len(told) != 1 || !strings.Contains(told[0], "environment-reset demo:level") {
			t.Errorf("told %q", told)
		}
	})
}

func TestManyDifferencesOfOneKindHideNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgradeThrough(t, "drift:flood", false, "probation: committed, 1.1.0 runs, warned")
		told := s.drifts()
		if len(told) == 0 || !strings.Contains(told[0], "environment-differs demo:level") {
			t.Errorf("told %q", told)
		}
		for _, e := range s.events {
			if e.Kind != "node.drifted" {
				continue
			}
			differences := e.Attrs["differences"].([]api.Difference)
			if !slices.ContainsFunc(differences, func(d api.Difference) bool { return d.Kind == drift.Environment }) || e.Attrs["count"] != 68 {
				t.Errorf("%v differences are told as %v", e.Attrs["count"], differences)
			}
			break
		}
	})
}

func TestWhatCannotBeLookedAtIsAWarningOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upgradeThrough(t, "drift:blind installed.drift:blind settled.drift:blind", false, "probation: committed, 1.1.0 runs, warned")
		if warned := s.result().Warnings; len(warned) != 1 || !strings.HasSuffix(warned[0], "the code path could not be looked at") {
			t.Errorf("warned of %q", warned)
		}
	})
}

// TestNothingIsSaidToBeResetThatCouldNotBeLookedAt, since it may be as it was.
func TestNothingIsSaidToBeResetThatCouldNotBeLookedAt(t *testing.T) {
	for _, script := range []string{"drift:set installed.drift:raised", "drift:set installed.drift:blind"} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.request.Settle = new(time.Duration)
				s.upgrade(second())
				s.ends("probation: committed, 1.1.0 runs, warned")
				if told := s.drifts(); len(told) > 0 {
					t.Errorf("told %q", told)
				}
			})
		})
	}
}

func TestDriftThatIsToleratedIsAWarning(t *testing.T) {
	for script, want := range map[string]string{
		"installed.drift:some":              "probation: committed, 1.1.0 runs, warned",
		"installed.apps:ended":              "probation: reverted internal, 1.0.0 runs",
		"install:lost installed.drift:some": "installing: reverted drift, 1.0.0 runs after a restart", // who tells then that nothing was installed?
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { upgradeThrough(t, script, true, want) })
		})
	}
}
