package upgrade

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/volume"
)

// TestAFullDiskStopsNoLaterUpgrade: the end of an attempt that could not be recorded must not keep every other one
// out for as long as the node lives.
func TestAFullDiskStopsNoLaterUpgrade(t *testing.T) {
	for script, then := range map[string]func(*stage){
		"full:check_install": func(s *stage) {
			s.upgrade(second())
			s.ends("probation: committed, 1.1.0 runs")
		},
		"full:status": func(s *stage) {
			s.upgrade(second().with("lib/demo-1.1.0/ebin/demo.beam", "mended"))
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
				kept := packagesOn(t, s.volume)
				for _, r := range s.volume.State().Releases {
					if !slices.Contains(kept, s.volume.Path(".agent", "packages", r.Package+".tar.gz")) {
						t.Errorf("the package of %s is not kept", r.Version)
					}
				}
			})
		})
	}
}

// TestAnUpgradeToAReleaseThatWasDamagedMeanwhileRestoresIt, whichever build of its package is sent.
func TestAnUpgradeToAReleaseThatWasDamagedMeanwhileRestoresIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")

		damage(t, s.volume.Path("lib", "demo-1.1.0", "ebin", "demo.beam"))
		kept := packagesOn(t, s.volume)
		s.again("")
		s.upgrade(second().with("bin/demo", "#!/bin/sh\necho another build\n"))
		s.ends("probation: committed, 1.1.0 runs, warned")
		if diff := cmp.Diff(kept, packagesOn(t, s.volume)); diff != "" {
			t.Errorf("other packages are kept:\n%s", diff)
		}
	})
}

func packagesOn(t *testing.T, v *volume.Volume) []string {
	t.Helper()
	found, err := filepath.Glob(v.Path(".agent", "packages", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
