package upgrade

import (
	"testing"
	"testing/synctest"
)

// TestAReleaseHandlerThatForgotIsNotBelieved: it has crashed in the middle of the installation, and its successor
// knows only what is permanent.
func TestAReleaseHandlerThatForgotIsNotBelieved(t *testing.T) {
	for script, want := range map[string]string{
		"install:lost installed.modified:some": "installing: reverted internal, 1.0.0 runs after a restart",
		"install:lost installed.apps:old":      "installing: reverted internal, 1.0.0 runs after a restart",
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
