package upgrade

import (
	"os"
	"testing"
	"testing/synctest"
)

// TestAFullDiskStopsNoLaterUpgrade: the end of an attempt that could not be recorded must not keep every other one
// out for as long as the node lives.
func TestAFullDiskStopsNoLaterUpgrade(t *testing.T) {
	for script, then := range map[string]func(*stage){
		"full:check_install": func(s *stage) {
			s.upgrade(second())
			s.ends("probation: committed, 1.1.0 runs")
		},
		"full:apps": func(s *stage) {
			s.upgrade(second())
			s.ends("probation: committed, 1.1.0 runs")
		},
		"full:make_permanent": func(s *stage) {
			s.upgrade(demo("1.2.0", "1.1.0"))
			s.ends("probation: committed, 1.2.0 runs")
		},
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.upgrade(second())
				if s.end(); s.volume.State().Operation == nil {
					t.Fatal("the end could be recorded")
				}
				if err := os.RemoveAll(s.volume.Path(".agent", ".state.json.tmp")); err != nil {
					t.Fatal(err)
				}
				s.again("")
				s.world.see = func(string) { s.look() }
				then(s)
			})
		})
	}
}
