package upgrade

import (
	"testing"
	"testing/synctest"

	"theseus/agent/api"
)

// TestARollbackThatMayRestartIsNotRefusedByANodeThatIsStuck in the release that is to be left.
func TestARollbackThatMayRestartIsNotRefusedByANodeThatIsStuck(t *testing.T) {
	for _, script := range []string{"busy:one", "modified:some", "connect:error+again", "which:hang", "check_install:error"} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
				s.rollback(api.RollbackRequest{Restart: true})
				s.ends("probation: committed, 1.0.0 runs after a restart, warned")
			})
		})
	}
}
