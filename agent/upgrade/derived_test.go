package upgrade

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
	"theseus/agent/relup"
	"theseus/volume"
)

// derives has the stage's engine make relups, from what runs to the package, and counts them.
func (s *stage) derives() (made *int) {
	made = new(int)
	s.engine.Derive = func(_ context.Context, from volume.Release, to *volume.Staged) (relup.Made, error) {
		*made++
		up, _, _ := strings.Cut(makeRelup(to.Release.Version, from.Version), `}],[{"`)
		return relup.Made{Relup: []byte(up + "}],[]}.\n")}, nil
	}
	s.request.Derived = true
	return made
}

func TestARelupIsMadeOnlyWhereNothingElseLeadsThereInService(t *testing.T) {
	for about, c := range map[string]struct {
		on   []files
		pkg  files
		made int
		want string
	}{
		"a newer one":             {[]files{demo("1.0.0", "")}, demo("1.1.0", ""), 1, "probation: committed, 1.1.0 runs"},
		"one with a relup":        {[]files{demo("1.0.0", "")}, demo("1.1.0", "1.0.0"), 0, "probation: committed, 1.1.0 runs"},
		"a relup from elsewhere":  {[]files{demo("1.0.0", "")}, demo("1.1.0", "0.9.0"), 0, "verified: refused no-relup, 1.0.0 runs"},
		"a relup that leads down": {[]files{demo("1.0.0", ""), demo("1.1.0", "1.0.0")}, demo("1.0.0", ""), 0, "probation: committed, 1.0.0 runs"},
		"two that lead down": {
			[]files{demo("1.0.0", ""), demo("1.1.0", "1.0.0"), demo("1.2.0", "1.1.0")},
			demo("1.0.0", ""), 0, "probation: committed, 1.0.0 runs",
		},
		"an older one":             {[]files{demo("1.1.0", "")}, demo("1.0.0", ""), 0, "verified: refused needs-restart, 1.1.0 runs"},
		"nobody knows":             {[]files{demo("alpha", "")}, demo("beta", ""), 0, "verified: refused needs-restart, alpha runs"},
		"what has no order either": {[]files{demo("1.0.0+1", "")}, demo("1.0.0+2", ""), 0, "verified: refused needs-restart, 1.0.0+1 runs"},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", c.on...)
				made := s.derives()
				s.upgrade(c.pkg)
				s.ends(c.want)
				if *made != c.made {
					t.Errorf("%d relups were made", *made)
				}
				if e := s.result().Error; e != nil && strings.Contains(e.Hint, "--derived") {
					t.Errorf("it offers what was tried: %s", e.Hint)
				}
			})
		})
	}
}

// TestAnOlderReleaseIsReachedByARestart, where that is allowed, and its place gets no relup.
func TestAnOlderReleaseIsReachedByARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.1.0", ""))
		s.derives()
		s.request.Restart = true
		s.upgrade(demo("1.0.0", ""))
		s.ends("probation: committed, 1.0.0 runs after a restart, warned")
		if _, there := readDisk(t, s.volume)["releases/1.0.0/relup"]; there {
			t.Error("a relup was placed")
		}
	})
}

// TestARelupThatWasMadeInVainIsTakenBack from a release that was on the volume before: end compares the disk. So nothing leads
// there afterwards that nobody asked for.
func TestARelupThatWasMadeInVainIsTakenBack(t *testing.T) {
	older := makeRelup("1.1.0", "0.9.0")
	for script, want := range map[string]string{
		"busy:one":            "unpacked: refused busy-processes, 1.0.0 runs",
		"check_install:error": "unpacked: refused old-processes, 1.0.0 runs",
		"install:error":       "installing: refused code-change-failed, 1.0.0 runs",
		"install:error+end":   "installing: reverted code-change-failed, 1.0.0 runs after a restart",
		"installed.apps:old":  "probation: reverted internal, 1.0.0 runs after a restart",
	} {
		for _, before := range []string{"", older} {
			t.Run(script+before[:min(1, len(before))], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newStage(t, script, demo("1.1.0", ""), demo("1.0.0", ""))
					if before != "" {
						write(t, s.volume.Path("releases/1.1.0/relup"), before)
						s.before = readDisk(t, s.volume)
					}
					s.derives()
					s.upgrade(demo("1.1.0", ""))
					s.ends(want)
					s.leadsNowhere(before)
				})
			})
		}
	}
}

// leadsNowhere says that 1.1.0 has the relup that it had before any was derived, and that none leads there without leave.
func (s *stage) leadsNowhere(before string) {
	s.t.Helper()
	if got := readDisk(s.t, s.volume)["releases/1.1.0/relup"]; got != before {
		s.t.Errorf("there is the relup %q", got)
	}
	s.again("")
	if err := s.engine.Install(s.t.Context(), api.InstallRequest{Version: "1.1.0"}, s.hear); err != nil {
		s.t.Fatal(err)
	}
	s.ends("requested: refused needs-restart, 1.0.0 runs")
}

// TestARelupThatWasMadeForAnAttemptThatDiedIsTakenAway by the next start of the agent, which ends its operation.
func TestARelupThatWasMadeForAnAttemptThatDiedIsTakenAway(t *testing.T) {
	for about, before := range map[string]string{"none before": "", "one before": makeRelup("1.1.0", "0.9.0")} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "stop:installing", demo("1.1.0", ""), demo("1.0.0", ""))
				if before != "" {
					write(t, s.volume.Path("releases/1.1.0/relup"), before)
				}
				s.derives()
				s.upgrade(demo("1.1.0", ""))
				s.ends("installing: interrupted stopping, 1.0.0 runs, left installing")
				if err := s.volume.Abort(nil); err != nil {
					t.Fatal(err)
				}
				s.leadsNowhere(before)
			})
		})
	}
}

// TestARelupIsOfferedWhereThePackageHasNone, and not where it could not be made.
func TestARelupIsOfferedWhereThePackageHasNone(t *testing.T) {
	for about, c := range map[string]struct {
		pkg     files
		offered bool
	}{
		"none":        {demo("1.1.0", ""), true},
		"another one": {demo("1.1.0", "0.9.0"), false},
		"none down":   {demo("0.9.0", ""), false},
	} {
		t.Run(about, func(t *testing.T) {
			s := newStage(t, "", demo("1.0.0", ""))
			s.upgrade(c.pkg)
			s.ends("verified: refused no-relup, 1.0.0 runs")
			if hint := s.result().Error.Hint; strings.Contains(hint, "--derived") != c.offered {
				t.Errorf("the hint is %q", hint)
			}
		})
	}
}
