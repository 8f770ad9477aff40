package upgrade

import (
	"os"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
)

// TestARollbackThatMayRestartIsNotRefusedByANodeThatIsStuck in the release that is to be left.
func TestARollbackThatMayRestartIsNotRefusedByANodeThatIsStuck(t *testing.T) {
	for _, script := range []string{"busy:one", "drift:some", "connect:error+again", "which:hang", "check_install:error"} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
				s.rollback(api.RollbackRequest{Restart: true})
				s.ends("probation: committed, 1.0.0 runs after a restart, warned")
			})
		})
	}
}

// TestCodeThatHadDriftedIsNotForgivenWhereTheReleaseHasItAnew: it was to be loaded, whatever was there before.
func TestCodeThatHadDriftedIsNotForgivenWhereTheReleaseHasItAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "drift:patched restarted.drift:patched", demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
		s.rollback(api.RollbackRequest{Restart: true})
		s.ends("probation: reverted drift, 1.1.0 runs after a restart, warned")
	})
}

// TestARollbackThatMayRestartNeedsNoRelup, not even one that can be read.
func TestARollbackThatMayRestartNeedsNoRelup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
		if err := os.WriteFile(s.volume.Path("releases/1.0.0/relup"), []byte("{"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.rollback(api.RollbackRequest{Restart: true})
		if end := s.history[len(s.history)-1]; end.Kind != "rollback.committed" {
			t.Errorf("it ends with %+v", end)
		}
	})
}
