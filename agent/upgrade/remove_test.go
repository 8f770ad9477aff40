package upgrade

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/volume"
)

// three is a stage on which 1.2.0 runs, a rollback leads to 1.1.0, and nobody needs 1.0.0.
func three(t *testing.T, script string) *stage {
	return newStage(t, script, demo("1.0.0", ""), demo("1.1.0", "1.0.0"), demo("1.2.0", "1.1.0"))
}

func (s *stage) has(version string) (onDisk, inNode bool) {
	content := readDisk(s.t, s.volume)
	return content["releases/"+version+"/MANIFEST"] != "", s.world.node.known[version] != ""
}

func TestARemovedReleaseIsForgottenByTheNodeAsWell(t *testing.T) {
	for script, inNode := range map[string]bool{
		"":                      false,
		"set_removed:lost+done": false,
		"set_removed:lost":      true, // until its next boot
		"set_removed:hang":      true,
		"connect:error":         true,
		"running:error":         true, // it is down
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t, script)
				removed, err := s.engine.Remove(context.Background(), "1.0.0")
				if err != nil || removed.Name != "demo" || removed.Version != "1.0.0" || removed.Bytes <= 0 {
					t.Errorf("%+v, %v", removed, err)
				}
				if onDisk, known := s.has("1.0.0"); onDisk || known != inNode {
					t.Errorf("it is on the disk: %v, in the node: %v", onDisk, known)
				}
				if s.volume.State().Releases["1.0.0"].Version != "" || s.engine.Current() != nil {
					t.Errorf("%+v", s.volume.State())
				}
				for _, version := range []string{"1.1.0", "1.2.0"} {
					if err := s.volume.Verify(version); err != nil {
						t.Error(err)
					}
				}
				if otp := readDisk(t, s.volume)["releases/RELEASES"]; script == "" && (strings.Contains(otp, "as OTP has it") || strings.Contains(otp, "1.0.0")) {
					t.Errorf("what OTP wrote in place was not made durable: %s", otp)
				}
				if last := s.history[len(s.history)-1]; last.Kind != "release.removed" || last.Attrs["version"] != "1.0.0" || last.Upgrade != "" {
					t.Errorf("the history says %+v", last)
				}
			})
		})
	}
}

func TestWhatIsNeededIsNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t, "set_removed:error")
		s.world.see = func(string) {}  // which makes sure that what boots is what runs
		s.world.node.version = "1.1.0" // 1.2.0 could not boot
		for _, c := range []struct{ version, code, words string }{
			{"1.1.0", api.CodeReleaseCurrent, "demo 1.1.0: it runs"},
			{"1.2.0", api.CodeReleasePermanent, "it is what boots"},
			{"0.9.0", api.CodeNoSuchRelease, "it is not on the volume"},
			{"1.0.0", api.CodeRecordDrift, "release_handler does not let it go"},
		} {
			_, err := s.engine.Remove(context.Background(), c.version)
			var e *api.Error
			if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.words) || e.State != "nothing was changed" {
				t.Errorf("%s: %+v", c.version, err)
			}
		}
		s.world.node.version = "1.2.0"
		_, err := s.engine.Remove(context.Background(), "1.1.0")
		if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeRollbackTarget {
			t.Errorf("%+v", err)
		}
		if diff := cmp.Diff(s.before, readDisk(t, s.volume)); diff != "" {
			t.Errorf("the disk is not as before:\n%s", diff)
		}
		if len(s.history) > 0 {
			t.Errorf("recorded was %+v", s.history)
		}
	})
}

func TestNothingIsRemovedDuringAnUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		seen := s.world.see
		s.world.see = func(call string) {
			if _, err := s.engine.Remove(context.Background(), "1.0.0"); !errors.Is(err, ErrBusy) {
				t.Errorf("at %s: %v", call, err)
			}
			seen(call)
		}
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
	})
}

func TestAfterACommitTheOldestReleasesAreRemoved(t *testing.T) {
	for script, want := range map[string]string{
		"":                          "probation: committed, 1.3.0 runs",
		"set_removed:error":         "probation: committed, 1.3.0 runs, warned",
		"set_removed:lost":          "probation: committed, 1.3.0 runs",
		"installed.drift:some":      "probation: reverted drift, 1.2.0 runs",
		"make_permanent:error":      "probation: committed, 1.3.0 runs, warned",
		"busy:one":                  "unpacked: refused busy-processes, 1.2.0 runs",
		"installed.apps:done+end":   "probation: reverted node-ended, 1.2.0 runs after a restart",
		"make_permanent:lost+done":  "probation: committed, 1.3.0 runs, warned",
		"make_permanent:done+end":   "probation: committed, nothing runs, warned",
		"set_removed:lost+done":     "probation: committed, 1.3.0 runs",
		"install:error":             "installing: refused code-change-failed, 1.2.0 runs",
		"installed.status:stopping": "probation: reverted internal, 1.2.0 runs",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t, script)
				s.engine.Keep = volume.Keep{Releases: 3}
				s.upgrade(demo("1.3.0", "1.2.0"))
				if got := s.end(); got != want {
					t.Errorf("\ngot  %s\nwant %s", got, want)
				}
				committed := strings.Contains(want, "committed") && script != "set_removed:error"
				if onDisk, _ := s.has("1.0.0"); onDisk == committed {
					t.Errorf("1.0.0 is on the disk: %v", onDisk)
				}
				for _, version := range []string{"1.1.0", "1.2.0"} {
					if err := s.volume.Verify(version); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestWhatMustStayAndIsTooMuchIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.engine.Keep = volume.Keep{Bytes: 1}
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs, warned")
	})
}

// TestWhatIsUnderWaySaysOfWhichKindItIs: a removal has no package that could be coming.
func TestWhatIsUnderWaySaysOfWhichKindItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t, "")
		var kinds []string
		s.world.see = func(string) { kinds = append(kinds, s.engine.Current().Kind) }
		if _, err := s.engine.Remove(context.Background(), "1.0.0"); err != nil {
			t.Fatal(err)
		}
		if kinds = slices.Compact(kinds); !slices.Equal(kinds, []string{"removal"}) {
			t.Errorf("a removal is under way as %q", kinds)
		}
	})
}
