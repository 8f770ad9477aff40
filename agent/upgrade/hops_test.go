package upgrade

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/volume"
)

// hops are upgrades from 1.0.0 to 1.2.0, whose relup leads from 1.1.0 alone, which is on the volume. What is called for the
// second relup is in the phase settled, until it is installed: installed2.
var hops = []story{
	{"", "probation: committed, 1.2.0 runs"},
	{"busy:one", "unpacked: refused busy-processes, 1.0.0 runs"},
	{"check_install:error", "unpacked: refused old-processes, 1.0.0 runs"},
	{"stop:checked", "checked: aborted stopping, 1.0.0 runs"},
	{"install:error", "installing: refused code-change-failed, 1.0.0 runs"},
	{"install:error+end", "installing: reverted code-change-failed, 1.0.0 runs after a restart"},
	{"install:lost", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost+done", "probation: committed, 1.2.0 runs"},
	{"install:stop", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"installed.drift:some", "installing: reverted drift, 1.0.0 runs"},
	{"installed.apps:old", "installing: reverted internal, 1.0.0 runs"},
	{"installed.apps:lost", "probation: committed, 1.2.0 runs"},
	{"installed.apps:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.apps:stop", "installing: interrupted stopping, 1.1.0 runs, left installing"},
	{"settled.busy:one", "installing: reverted busy-processes, 1.0.0 runs"},
	{"settled.drift:some", "installing: reverted code-drift, 1.0.0 runs"},
	{"settled.which:hang", "installing: reverted internal, 1.0.0 runs"},
	{"settled.which:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"settled.set_unpacked:error", "installing: reverted no-such-file, 1.0.0 runs"},
	{"settled.set_unpacked:lost+done", "installing: reverted internal, 1.0.0 runs"},
	{"settled.check_install:error", "installing: reverted old-processes, 1.0.0 runs"},
	{"settled.check_install:stop", "installing: interrupted stopping, 1.1.0 runs, left installing"},
	{"settled.check_install:error back:error", "installing: reverted old-processes, 1.0.0 runs after a restart, warned"},
	{"settled.check_install:error back:stop", "installing: interrupted old-processes, 1.1.0 runs, left installing"},
	{"settled.check_install:panic", "installing: reverted internal, 1.0.0 runs"},
	{"installed2.install:error", "installing: reverted code-change-failed, 1.0.0 runs"},
	{"installed2.install:error+end", "installing: reverted code-change-failed, 1.0.0 runs after a restart"},
	{"installed2.install:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed2.install:done+end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed2.install:lost", "installing: reverted internal, 1.0.0 runs"},
	{"installed2.install:lost+done", "probation: committed, 1.2.0 runs"},
	{"installed2.install:lost installed2.drift:some", "installing: reverted drift, 1.0.0 runs after a restart"},
	{"installed2.install:hang installed2.which:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"installed2.install:stop", "installing: interrupted stopping, 1.1.0 runs, left installing"},
	{"installed2.install:panic", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"installed2.apps:old", "probation: reverted internal, 1.0.0 runs"},
	{"installed2.apps:old back:error", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed2.apps:old back:lost", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed2.apps:old reverted.apps:ended", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed2.apps:old reverted.status:end", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed2.apps:old reverted.status:hang", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"settled2.status:stopping", "probation: reverted internal, 1.0.0 runs"},
	{"settled2.status:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"stop:probation", "probation: interrupted stopping, 1.2.0 runs, left installing"},
	{"make_permanent:error", "probation: committed, 1.2.0 runs, warned"},
	{"make_permanent:done+end", "probation: committed, nothing runs, warned"},
	{"full:check_install", "checked: aborted internal, 1.0.0 runs, warned, left planned"},
}

func playHops(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
	s.upgrade(demo("1.2.0", "1.1.0"))
	return s
}

func TestEachHopIsToldAndOnlyTheLastIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
		was := s.volume.State().Releases["1.1.0"]
		s.upgrade(demo("1.2.0", "1.1.0"))
		s.ends("probation: committed, 1.2.0 runs")
		if got := s.told("upgrade.planned"); len(got) != 1 || !strings.Contains(got[0].Message, "demo 1.0.0 to 1.1.0 to 1.2.0 in service: 8 instructions") {
			t.Errorf("planned was %+v", got)
		} else if diff := cmp.Diff([]string{"1.0.0", "1.1.0", "1.2.0"}, got[0].Attrs["path"]); diff != "" {
			t.Error(diff)
		}
		for i, want := range []string{"1.1.0", "1.2.0"} {
			if got := s.told("node.installed"); len(got) != 2 || got[i].Attrs["version"] != want {
				t.Errorf("installed were %+v", got)
			}
			if got := s.told("node.checked"); len(got) != 2 || got[i].Attrs["version"] != want {
				t.Errorf("checked were %+v", got)
			}
		}
		r, state := s.result(), s.volume.State()
		if diff := cmp.Diff([]string{"1.1.0"}, r.Via); diff != "" || !strings.Contains(s.history[len(s.history)-1].Message, "(was 1.0.0, over 1.1.0)") {
			t.Errorf("it ends with %+v", s.history[len(s.history)-1])
		}
		if state.Current != "1.2.0" || state.Previous != "1.0.0" || !cmp.Equal(state.Releases["1.1.0"], was) {
			t.Errorf("the state is %+v", state)
		}

		// The way back is the same, and what lies on it stays until it was gone.
		if surplus, err := s.volume.Surplus(volume.Keep{Releases: 1}, "1.2.0"); err != nil || len(surplus.Versions) > 0 {
			t.Errorf("it may be removed: %v, %v", surplus, err)
		}
		_, err := s.engine.Remove(t.Context(), "1.1.0")
		if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeRollbackPath {
			t.Errorf("it was removed: %v", err)
		}
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
		if diff := cmp.Diff([]string{"1.1.0"}, s.result().Via); diff != "" || len(s.told("node.installed")) != 2 {
			t.Errorf("%+v", s.result())
		}
		if surplus, err := s.volume.Surplus(volume.Keep{Releases: 1}, "1.0.0"); err != nil || !cmp.Equal(surplus.Versions, []string{"1.1.0"}) {
			t.Errorf("of a way that leads nowhere remains %v, %v", surplus, err)
		}
	})
}

func (s *stage) told(kind string) (events []api.Event) {
	for _, e := range s.history {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// TestARollbackOverSeveralReleasesGoesBackToWhereItBegan when one of its hops fails.
func TestARollbackOverSeveralReleasesGoesBackToWhereItBegan(t *testing.T) {
	for script, want := range map[string]string{
		"":                            "probation: committed, 1.0.0 runs",
		"settled.busy:one":            "installing: reverted busy-processes, 1.3.0 runs",
		"installed3.install:error":    "installing: reverted code-change-failed, 1.3.0 runs",
		"installed2.install:done+end": "installing: reverted node-ended, 1.3.0 runs after a restart",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""), demo("1.1.0", "1.0.0"), demo("1.2.0", "1.1.0"), demo("1.3.0", "1.2.0"))
				s.rollback(api.RollbackRequest{Version: "1.0.0"})
				s.ends(want)
			})
		})
	}
}

// TestAWayThatIsStuckInTheMiddleMayGoOnByARestart where that is allowed.
func TestAWayThatIsStuckInTheMiddleMayGoOnByARestart(t *testing.T) {
	for script, want := range map[string]string{
		"settled.busy:one":                       "probation: committed, 1.2.0 runs after a restart, warned",
		"settled.busy:one restarted.apps:ended":  "probation: reverted internal, 1.0.0 runs after a restart, warned",
		"settled.busy:one restart:error":         "installing: reverted internal, 1.0.0 runs after a restart, warned",
		"settled.check_install:end":              "installing: reverted node-ended, 1.0.0 runs after a restart",
		"settled.busy:one make_permanent:error":  "probation: committed, 1.2.0 runs after a restart, warned",
		"settled.busy:one restarted.drift:error": "probation: committed, 1.2.0 runs after a restart, warned",
	} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
				s.request.Restart = true
				s.upgrade(demo("1.2.0", "1.1.0"))
				s.ends(want)
			})
		})
	}
}

func TestWhatIsDamagedOnTheWayIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
		damage(t, s.volume.Path("lib", "demo-1.1.0", "ebin", "demo.beam"))
		s.upgrade(demo("1.2.0", "1.1.0"))
		s.ends("probation: committed, 1.2.0 runs, warned")
	})
}

// TestARestartNeedsNoReleaseInBetween: one that cannot be restored, or configured, is in the way of no restart. Without one it is named.
func TestARestartNeedsNoReleaseInBetween(t *testing.T) {
	broken := func(s *stage) {
		damage(s.t, s.volume.Path("lib/demo-1.1.0/ebin/demo.beam"))
		remove(s.t, s.volume.Path(".agent/packages", s.volume.State().Releases["1.1.0"].Package+".tar.gz"))
		s.before = readDisk(s.t, s.volume)
	}
	unresolved := func(s *stage) {
		s.engine.Configure = func(_ context.Context, version string) error {
			if version == "1.1.0" {
				return errors.New("DB is not set")
			}
			return nil
		}
	}
	forward := func(s *stage, restart bool) {
		s.request.Restart = restart
		s.upgrade(demo("1.2.0", "1.1.0"))
	}
	back := func(s *stage, restart bool) { s.rollback(api.RollbackRequest{Version: "1.0.0", Restart: restart}) }
	there, three := []files{demo("1.1.0", "1.0.0"), demo("1.0.0", "")}, []files{demo("1.0.0", ""), demo("1.1.0", "1.0.0"), demo("1.2.0", "1.1.0")}
	for about, c := range map[string]struct {
		on      []files
		prepare func(*stage)
		do      func(*stage, bool)
		without string
		with    string
	}{
		"damaged, there":      {there, broken, forward, "planned: aborted internal, 1.0.0 runs", "1.2.0"},
		"damaged, back":       {three, broken, back, "planned: aborted internal, 1.2.0 runs", "1.0.0"},
		"unconfigured, there": {there, unresolved, forward, "unpacked: refused config-unresolved, 1.0.0 runs", "1.2.0"},
		"unconfigured, back":  {three, unresolved, back, "unpacked: refused config-unresolved, 1.2.0 runs", "1.0.0"},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", c.on...)
				c.prepare(s)
				c.do(s, false)
				s.ends(c.without)
				if e := s.result().Error; !strings.Contains(e.Message, " over 1.1.0: ") {
					t.Errorf("it says %s", e.Message)
				}
				s.again("")
				c.do(s, true)
				s.ends("probation: committed, " + c.with + " runs after a restart, warned")
			})
		})
	}
}

func TestTheWayIsTheShortestThatThereIs(t *testing.T) {
	cut := "cut"   // neither up nor down
	restart := "!" // of the emulator
	for about, c := range map[string]struct {
		relups  map[string]string // of a release: from where it leads up, and down to
		restart bool
		want    string
	}{
		"direct":                      {map[string]string{"1.1": "1.0", "1.2": "1.0 1.1"}, false, "1.0 1.2"},
		"over one":                    {map[string]string{"1.1": "1.0", "1.2": "1.1"}, false, "1.0 1.1 1.2"},
		"over the fewest":             {map[string]string{"1.0.1": "1.0", "1.0.2": "1.0.1", "1.1": "1.0", "1.2": "1.0.2 1.1"}, false, "1.0 1.1 1.2"},
		"over three":                  {map[string]string{"1.0.1": "1.0", "1.0.2": "1.0.1", "1.1": "1.0.2", "1.2": "1.1"}, false, "1.0 1.0.1 1.0.2 1.1 1.2"},
		"no circle":                   {map[string]string{"1.0.1": "1.0 1.0.2", "1.0.2": "1.0.1"}, false, ""},
		"nowhere":                     {map[string]string{"1.1": "1.0", "1.2": cut}, false, ""},
		"a restart on the way":        {map[string]string{"1.1": "1.0" + restart, "1.2": "1.1"}, false, ""},
		"around a restart":            {map[string]string{"1.1": "1.0", "1.2": "1.0" + restart + " 1.1"}, false, "1.0 1.1 1.2"},
		"a restart alone":             {map[string]string{"1.2": "1.0" + restart}, false, ""},
		"a restart where it may":      {map[string]string{"1.2": "1.0" + restart}, true, "1.0 1.2"},
		"in service where it may not": {map[string]string{"1.1": "1.0", "1.2": "1.0" + restart + " 1.1"}, true, "1.0 1.1 1.2"},
	} {
		t.Run(about, func(t *testing.T) {
			known := relups{"1.0": nil, "1.2": nil}
			for version, from := range c.relups {
				r := &volume.Relup{To: version}
				for word := range strings.FieldsSeq(from) {
					v, restarts := strings.CutSuffix(word, restart)
					e := edgeOf(t, v, restarts)
					r.Up, r.Down = append(r.Up, e), append(r.Down, e)
				}
				known[version] = r
			}
			route := known.route("1.0", "1.2", inService)
			if route == nil && c.restart {
				route = known.route("1.0", "1.2", anyEdge)
			}
			if got := strings.Join(route, " "); got != c.want {
				t.Errorf("the way is %q, not %q", got, c.want)
			}
			back := known.route("1.2", "1.0", inService)
			if back == nil && c.restart {
				back = known.route("1.2", "1.0", anyEdge)
			}
			if len(back) != len(route) {
				t.Errorf("the way back is %v", back)
			}
		})
	}
}

func edgeOf(t *testing.T, version string, restarts bool) volume.RelupEdge {
	t.Helper()
	text := makeRelup("x", version)
	if restarts {
		text = strings.ReplaceAll(text, "point_of_no_return", "point_of_no_return,restart_emulator")
	}
	r, err := volume.ParseRelup([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r.Up[0]
}

// TestNoWayLeadsOverARestartOfTheEmulator nor over what was given up, and the refusal says what there is.
func TestNoWayLeadsOverARestartOfTheEmulator(t *testing.T) {
	for about, c := range map[string]struct {
		prepare    func(*stage)
		want, says string
		hint       string
	}{
		"a restart of the emulator": {
			func(s *stage) {
				write(s.t, s.volume.Path("releases/1.1.0/relup"), strings.ReplaceAll(makeRelup("1.1.0", "1.0.0"), "{resume,", "restart_emulator,{resume,"))
			},
			"verified: refused needs-restart, 1.0.0 runs",
			"of the relups from 1.0.0 to 1.1.0 to 1.2.0 one restarts the emulator, and is no part of a longer way", "agent upgrade --restart",
		},
		"a release that was given up": {
			func(s *stage) {
				if err := s.volume.Quarantine("1.1.0", "1.0.0", volume.Failure{}); err != nil {
					s.t.Fatal(err)
				}
			},
			"verified: refused no-relup, 1.0.0 runs", "no relup leads there from 1.0.0, nor do those of the releases on the volume", "(it has them from 1.1.0), unpack a release between the two (agent unpack)",
		},
		"a relup that cannot be read": {
			func(s *stage) { write(s.t, s.volume.Path("releases/1.1.0/relup"), "{") },
			"verified: refused no-relup, 1.0.0 runs", "no relup leads there from 1.0.0", "agent unpack",
		},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
				c.prepare(s)
				s.before = readDisk(t, s.volume)
				s.upgrade(demo("1.2.0", "1.1.0"))
				s.ends(c.want)
				if e := s.result().Error; !strings.Contains(e.Message, c.says) || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("it says %+v", e)
				}
			})
		})
	}
}
