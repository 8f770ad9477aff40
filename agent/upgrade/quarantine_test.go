package upgrade

import (
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
)

// TestAReleaseWhoseUpgradeFailsGoesIntoQuarantine, but not for what is no fault of it.
func TestAReleaseWhoseUpgradeFailsGoesIntoQuarantine(t *testing.T) {
	for script, is := range map[string]bool{
		"install:end": true, "installed.drift:some": true, "installed.drift:some back:error": true,
		"": false, "check_install:error": false, "install:error": false, "status:panic": false,
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.upgrade(second())
				if why, got := s.givenUp(); got != is {
					t.Errorf("%v, %+v\n%+v", got, why, s.result())
				}
			})
		})
	}
}

func TestWhatNobodyCommitsIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.wait(second(), api.Hold{CommitWithin: time.Minute})
		<-time.After(2 * time.Minute)
		synctest.Wait()
		if why, is := s.givenUp(); is || s.volume.State().Failed["1.1.0"].Reason == "" {
			t.Errorf("%v, %+v", is, why)
		}
	})
}

// TestWhatFailedMayBeTriedAgain by whoever asks for it, and when it goes well it is no failure any more.
func TestWhatFailedMayBeTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "installed.drift:some", demo("1.0.0", ""))
		s.upgrade(second())
		if _, is := s.givenUp(); !is {
			t.Fatal("it is not given up")
		}
		s.again("")
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		if len(s.volume.State().Failed) > 0 {
			t.Errorf("it is permanent, and %+v", s.volume.State().Failed)
		}
	})
}
