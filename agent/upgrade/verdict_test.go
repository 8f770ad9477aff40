package upgrade

import (
	"testing"
	"testing/synctest"

	"theseus/rpc"
)

// TestAReleaseHandlerThatForgotIsNotBelieved: it has crashed in the middle of the installation, and its successor
// knows only what is permanent.
func TestAReleaseHandlerThatForgotIsNotBelieved(t *testing.T) {
	for script, want := range map[string]string{
		"install:lost installed.drift:some": "installing: reverted drift, 1.0.0 runs after a restart",
		"install:lost installed.apps:old":   "installing: reverted internal, 1.0.0 runs after a restart",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.upgrade(second())
				s.ends(want)
			})
		})
	}
}

// TestAnUpgradeDoesNotBeginFromAnotherReleaseThanRuns: its relup would be made for other code.
func TestAnUpgradeDoesNotBeginFromAnotherReleaseThanRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "make_permanent:lost", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs, warned")
		s.world.node.known["1.1.0"] = rpc.Unpacked // release_handler was started anew
		s.again("")
		s.upgrade(demo("1.2.0", "1.1.0"))
		s.ends("unpacked: refused record-drift, 1.1.0 runs")
	})
}
