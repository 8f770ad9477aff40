package upgrade

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
)

// probations are upgrades from 1.0.0 to 1.1.0 that wait for a person, and what ends the wait.
var probations = []struct{ script, ends, want string }{
	{"", "commit", "probation: committed, 1.1.0 runs"},
	{"", "commit 1.1.0", "probation: committed, 1.1.0 runs"},
	{"", "rollback", "probation: reverted, 1.0.0 runs"},
	{"", "rollback 1.0.0", "probation: reverted, 1.0.0 runs"},
	{"", "deadline", "probation: reverted not-committed, 1.0.0 runs"},
	{"", "node", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"", "stop", "probation: interrupted stopping, 1.1.0 runs, left probation"},
	{"rested.apps:ended", "commit", "probation: reverted internal, 1.0.0 runs"},
	{"rested.apps:lost", "commit", "probation: committed, 1.1.0 runs"},
	{"rested.status:end", "commit", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"rested.status:hang", "commit", "probation: reverted internal, 1.0.0 runs"},
	{"rested.status:stop", "commit", "probation: interrupted stopping, 1.1.0 runs, left probation"},
	{"rested.apps:panic", "commit", "probation: reverted internal, 1.0.0 runs"},
	{"make_permanent:error", "commit", "probation: committed, 1.1.0 runs, warned"},
	{"make_permanent:done+end", "commit", "probation: committed, nothing runs, warned"},
	{"back:error", "rollback", "probation: reverted, 1.0.0 runs after a restart, warned"},
	{"back:end", "rollback", "probation: reverted, 1.0.0 runs after a restart, warned"},
	{"back:stop", "rollback", "probation: interrupted taken-back, 1.1.0 runs, left probation"},
	{"back:error restart:error", "rollback", "probation: broken taken-back, nothing runs after a restart, warned"},
	{"back:error", "deadline", "probation: reverted not-committed, 1.0.0 runs after a restart, warned"},
	{"await:error", "node", "probation: broken node-ended, nothing runs after a restart"},
	{"full:rest", "commit", "probation: reverted internal, 1.0.0 runs, warned, left probation"},
	{"full:rest", "rollback", "probation: reverted, 1.0.0 runs, warned, left probation"},
}

// wait upgrades to 1.1.0 with a probation that a person ends, and returns when the caller was told so.
func (s *stage) wait(pkg files, hold api.Hold) {
	s.t.Helper()
	hold.NoCommit = true
	life, stop := s.life()
	s.t.Cleanup(stop)
	req := api.UpgradeRequest{Name: "demo.tar.gz", Hold: hold, Restart: s.request.Restart}
	if err := s.engine.Upgrade(life, s.t.Context(), req, bytes.NewReader(pkg.pack(s.t)), s.hear); err != nil {
		s.t.Fatal(err)
	}
	r := s.result()
	if r.Outcome != api.Probation || r.Error != nil || r.Running != "1.1.0" || r.CommitBy.IsZero() {
		s.t.Fatalf("it waits with %+v, %v", r, r.Error)
	}
	if u := s.engine.Current(); u == nil || !u.Waits() || !u.CommitBy.Equal(r.CommitBy) || s.world.protect != "1.0.0" || s.volume.State().Current != "1.0.0" {
		s.t.Errorf("under way is %+v, and the end of the node boots %q", u, s.world.protect)
	}
	s.events, s.history = nil, nil
}

func TestAProbationIsEndedByWhatComesFirst(t *testing.T) {
	for _, c := range probations {
		t.Run(c.ends+"/"+c.script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, c.script, demo("1.0.0", ""))
				s.wait(second(), api.Hold{CommitWithin: 10 * time.Minute})
				verb, version, _ := strings.Cut(c.ends, " ")
				heard := true
				var err error
				switch verb {
				case "commit":
					err = s.engine.Commit(api.CommitRequest{Version: version}, s.hear)
				case "rollback":
					err = s.engine.Rollback(t.Context(), api.RollbackRequest{Version: version}, s.hear)
				case "deadline":
					heard = false
					<-time.After(10*time.Minute - 1)
					if u := s.engine.Current(); !u.Waits() {
						t.Errorf("it has ended early: %+v", u)
					}
				case "node":
					heard = false
					s.world.node.end()
				case "stop":
					heard = false
					s.world.stop()
				}
				if err != nil {
					t.Error(err)
				}
				s.engine.idle.Wait()
				if !heard { // by anybody
					s.look()
					s.events = s.history
				}
				s.arrive()
				s.ends(c.want)
				if asked := verb == "rollback" && strings.HasPrefix(c.want, "probation: reverted,"); asked != (s.result().Outcome == api.Reverted && s.result().Error == nil) {
					t.Errorf("the result is %+v", s.result())
				}
			})
		})
	}
}

// arrive notes the state in which an attempt has ended, where nobody heard of it.
func (s *stage) arrive() {
	end := Reverted
	switch s.events[len(s.events)-1].Result.Outcome {
	case api.Committed:
		end = Committed
	case api.Interrupted:
		end = Probation
	}
	if s.path[len(s.path)-1] != end {
		s.path = append(s.path, end)
	}
}

func TestOnlyOneDecisionIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.wait(second(), api.Hold{CommitWithin: time.Minute})
		busy := 0
		var asking sync.WaitGroup
		var mu sync.Mutex
		count := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrBusy) || err != nil && strings.Contains(err.Error(), "no release is on probation") {
				busy++
			} else if err != nil {
				t.Error(err)
			}
		}
		for range 4 {
			asking.Go(func() { count(s.engine.Commit(api.CommitRequest{}, func(api.Event) {})) })
		}
		asking.Wait()
		if busy != 3 {
			t.Errorf("%d of 4 were refused", busy)
		}
	})
}

// TestADecisionAtTheDeadlineIsHeededOrRefused: who decides hears how it ends, or that there is nothing to decide.
func TestADecisionAtTheDeadlineIsHeededOrRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.wait(second(), api.Hold{CommitWithin: time.Minute})
		var last api.Event
		<-time.After(time.Minute)
		err := s.engine.Commit(api.CommitRequest{}, func(e api.Event) { last = e })
		s.engine.idle.Wait()
		if boots := s.volume.State().Current; (err == nil) != (boots == "1.1.0") || err == nil && last.Result == nil {
			t.Errorf("%v: %s boots, and the last that was heard is %+v", err, boots, last)
		}
	})
}

// settlings are upgrades from 1.0.0 to 1.1.0 that are taken back while the release settles: what becomes of one, and whether who asked for
// that hears of an error.
var settlings = []struct {
	script string
	hold   api.Hold
	want   string
	failed bool
}{
	{"", api.Hold{}, "probation: reverted taken-back, 1.0.0 runs", false},
	{"", api.Hold{NoCommit: true}, "probation: reverted taken-back, 1.0.0 runs", false},
	{"back:error", api.Hold{}, "probation: reverted taken-back, 1.0.0 runs after a restart, warned", false},
	{"back:end", api.Hold{}, "probation: reverted taken-back, 1.0.0 runs after a restart, warned", false},
	{"back:stop", api.Hold{}, "probation: interrupted taken-back, 1.1.0 runs, left installing", true},
	{"back:error restart:error", api.Hold{}, "probation: broken taken-back, nothing runs after a restart, warned", true},
}

// TestWhatSettlesIsTakenBackAtOnce, in service. To its caller it has failed, and to who asked for that it has not.
func TestWhatSettlesIsTakenBackAtOnce(t *testing.T) {
	for _, c := range settlings {
		t.Run(c.want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, c.script, demo("1.0.0", ""))
				s.engine.Settle, s.request.Hold = time.Hour, c.hold
				begun := time.Now()
				go s.upgrade(second())
				synctest.Wait()
				if u := s.engine.Current(); !u.Revocable || u.Waits() {
					t.Fatalf("under way is %+v", u)
				}
				told := len(s.events)
				var heard []api.Event
				if err := s.engine.Rollback(t.Context(), api.RollbackRequest{}, func(e api.Event) { heard = append(heard, e) }); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if took := time.Since(begun); took >= time.Hour {
					t.Errorf("it took %s", took)
				}
				if r := heard[len(heard)-1].Result; len(heard) != len(s.events)-told || r == nil || (r.Error != nil) != c.failed {
					t.Errorf("who asked for it heard %+v", heard)
				}
				if e := s.events[len(s.events)-1].Error; e == nil || e.State == "" {
					t.Errorf("its caller heard %+v", e)
				}
				s.history[len(s.history)-1] = s.events[len(s.events)-1] // which was recorded as no error, where it was asked for
				s.ends(c.want)
				if why, is := s.givenUp(); is {
					t.Errorf("what a person took back is given up: %+v", why)
				}
			})
		})
	}
}

// TestARollbackAtTheEndOfASettlingIsHeededOrRefused: who asks for it hears how it ends, or that it is too late.
func TestARollbackAtTheEndOfASettlingIsHeededOrRefused(t *testing.T) {
	for about, end := range map[string]func(*stage){"settled": func(*stage) {}, "ended": func(s *stage) { s.world.node.end() }, "stopped": func(s *stage) { s.world.stop() }} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", demo("1.0.0", ""))
				life, stop := s.life()
				defer stop()
				var last, heard api.Event
				req := api.UpgradeRequest{Name: "demo.tar.gz"}
				go func() {
					_ = s.engine.Upgrade(life, t.Context(), req, bytes.NewReader(second().pack(t)), func(e api.Event) { last = e })
				}()
				synctest.Wait()
				<-time.After(time.Until(s.history[len(s.history)-1].Time.Add(s.engine.Settle)))
				end(s)
				err := s.engine.Rollback(life, api.RollbackRequest{}, func(e api.Event) { heard = e })
				s.engine.idle.Wait()
				if last.Result == nil || err == nil && heard.Result == nil {
					t.Errorf("%v: its caller heard %+v, who asked for the rollback %+v", err, last, heard)
				}
			})
		})
	}
}

func TestWhatSettlesIsNeitherCommittedNorLeftForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("0.9.0", ""), demo("1.0.0", ""))
		go s.upgrade(second())
		synctest.Wait()
		none := func(e api.Event) { t.Errorf("heard of %+v", e) }
		for about, err := range map[string]error{
			"commit":   s.engine.Commit(api.CommitRequest{}, none),
			"rollback": s.engine.Rollback(t.Context(), api.RollbackRequest{Version: "0.9.0"}, none),
		} {
			if !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v", about, err)
			}
		}
		s.engine.idle.Wait()
		synctest.Wait()
		s.ends("probation: committed, 1.1.0 runs")
		s.events, s.history, s.path = nil, nil, s.path[:0]
		go s.rollback(api.RollbackRequest{})
		synctest.Wait()
		if u := s.engine.Current(); u == nil || u.Revocable {
			t.Errorf("a rollback that settles: %+v", u)
		}
		if err := s.engine.Rollback(t.Context(), api.RollbackRequest{}, none); !errors.Is(err, ErrBusy) {
			t.Errorf("a rollback of a rollback: %v", err)
		}
		s.engine.idle.Wait()
	})
}

func TestWhileSomethingWaitsNothingElseBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("0.9.0", ""), demo("1.0.0", ""))
		s.wait(second(), api.Hold{})
		none := func(e api.Event) { t.Errorf("heard of %+v", e) }
		if u := s.engine.Current(); time.Until(u.CommitBy) != s.engine.Within {
			t.Errorf("it waits for %s", time.Until(u.CommitBy))
		}
		_, removed := s.engine.Remove(t.Context(), "0.9.0")
		for about, err := range map[string]error{
			"upgrade":  s.engine.Upgrade(t.Context(), t.Context(), api.UpgradeRequest{}, bytes.NewReader(nil), none),
			"unpack":   s.engine.Unpack(t.Context(), t.Context(), api.UpgradeRequest{}, bytes.NewReader(nil), none),
			"install":  s.engine.Install(t.Context(), api.InstallRequest{Version: "0.9.0"}, none),
			"rollback": s.engine.Rollback(t.Context(), api.RollbackRequest{Version: "0.9.0"}, none),
			"remove":   removed,
		} {
			if !errors.Is(err, ErrBusy) {
				t.Errorf("%s: %v", about, err)
			}
		}
		var e *api.Error
		if err := s.engine.Commit(api.CommitRequest{Version: "1.0.0"}, none); !errors.As(err, &e) || e.Code != api.CodeNotOnProbation {
			t.Errorf("commit of another: %v", err)
		}
		if err := s.engine.Commit(api.CommitRequest{}, func(api.Event) {}); err != nil {
			t.Error(err)
		}
		if err := s.engine.Commit(api.CommitRequest{}, none); !errors.As(err, &e) || e.Code != api.CodeNotOnProbation || e.State != "demo 1.1.0 is permanent" {
			t.Errorf("commit of nothing: %+v", e)
		}
	})
}

// TestARestartIsNoWayBackUnlessItIsAllowed: the probation goes on.
func TestARestartIsNoWayBackUnlessItIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		pkg := demo("1.1.0", "1.0.0")
		relup := pkg["releases/1.1.0/relup"]
		up := relup[:strings.LastIndex(relup, `[{"1.0.0"`)]
		s.wait(pkg.with("releases/1.1.0/relup", up+"[]}.\n"), api.Hold{})
		var e *api.Error
		err := s.engine.Rollback(t.Context(), api.RollbackRequest{}, s.hear)
		if !errors.As(err, &e) || e.Code != api.CodeNeedsRestart || !strings.Contains(e.Hint, "agent rollback --restart") || !s.engine.Current().Waits() {
			t.Errorf("%+v", err)
		}
		if err := s.engine.Rollback(t.Context(), api.RollbackRequest{Restart: true}, s.hear); err != nil {
			t.Error(err)
		}
		s.arrive()
		s.ends("probation: reverted, 1.0.0 runs after a restart")
	})
}

func TestAProbationComesOnlyAfterAGoodObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "settled.apps:ended", demo("1.0.0", ""))
		s.request.Hold = api.Hold{NoCommit: true}
		s.upgrade(second())
		s.ends("probation: reverted internal, 1.0.0 runs")
	})
}

func TestWhatIsOnTheVolumeIsInstalledOnProbation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
		life, stop := s.life()
		defer stop()
		if err := s.engine.Install(life, api.InstallRequest{Version: "1.1.0", Hold: api.Hold{NoCommit: true}}, s.hear); err != nil || s.result().Outcome != api.Probation {
			t.Fatal(err)
		}
		s.events, s.history = nil, nil
		if err := s.engine.Rollback(life, api.RollbackRequest{}, s.hear); err != nil {
			t.Error(err)
		}
		s.arrive()
		s.ends("probation: reverted, 1.0.0 runs")
		if err := s.volume.Verify("1.1.0"); err != nil {
			t.Errorf("it has left the volume: %v", err)
		}
	})
}

func (s *stage) install(version string) {
	s.t.Helper()
	life, stop := s.life()
	defer stop()
	if err := s.engine.Install(life, api.InstallRequest{Version: version}, s.hear); err != nil {
		s.t.Error(err)
	}
}

func TestAnInstallationIsRefusedAsARollbackIs(t *testing.T) {
	for version, want := range map[string]string{
		"0.9.0": "requested: refused no-such-release, 1.0.0 runs",
		"1.0.0": "requested: refused already-installed, 1.0.0 runs",
		"1.2.0": "requested: refused needs-restart, 1.0.0 runs",
		"1.1.0": "probation: committed, 1.1.0 runs",
	} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", demo("1.2.0", ""), demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
				s.install(version)
				s.ends(want)
				if e := s.result().Error; e != nil && e.Code == api.CodeNeedsRestart && e.Hint != "agent install --restart 1.2.0 restarts the node into it: its state and connections end" {
					t.Errorf("the hint is %q", e.Hint)
				}
			})
		})
	}
}

// unpackings are of 1.1.0, while 1.0.0 runs.
var unpackings = []story{
	{"", "unpacked: unpacked, 1.0.0 runs"},
	{"running:error", "unpacked: unpacked, 1.0.0 runs"}, // it needs no node
	{"stop:requested", "requested: aborted stopping, 1.0.0 runs"},
	{"stop:received", "received: aborted stopping, 1.0.0 runs"},
	{"stop:verified", "verified: aborted stopping, 1.0.0 runs"},
}

func (s *stage) unpack(pkg files) {
	s.t.Helper()
	life, stop := s.life()
	defer stop()
	req := s.request
	req.Name = "demo.tar.gz"
	if err := s.engine.Unpack(life, context.Background(), req, bytes.NewReader(pkg.pack(s.t)), s.hear); err != nil {
		s.t.Error(err)
	}
}

func playUnpack(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""))
	s.unpack(demo("1.1.0", "1.0.0"))
	return s
}

func TestWhatWasUnpackedStaysUntilItIsInstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := playUnpack(t, "")
		s.ends("unpacked: unpacked, 1.0.0 runs")
		for range 2 { // it is there already the second time
			if report, err := s.volume.Recover(); err != nil || len(report) > 0 {
				t.Errorf("the next start: %v, %v", report, err)
			}
			s.again("")
			s.unpack(demo("1.1.0", "1.0.0"))
			s.ends("unpacked: unpacked, 1.0.0 runs")
		}
		s.again("")
		s.unpack(demo("1.1.0", "1.0.0").with("lib/demo-1.1.0/ebin/demo.beam", "another"))
		s.ends("verified: refused conflicting-release, 1.0.0 runs")

		s.again("installed.apps:old")
		s.install("1.1.0")
		s.ends("probation: reverted internal, 1.0.0 runs")
		if err := s.volume.Verify("1.1.0"); err != nil {
			t.Errorf("it has left the volume: %v", err)
		}
		s.again("")
		s.install("1.1.0")
		s.ends("probation: committed, 1.1.0 runs")
		if s.volume.State().Releases["1.1.0"].Wanted {
			t.Error("it is said to wait for its installation still")
		}
	})
}

// TestAnUpgradeLeadsOverWhatWasUnpacked, with AGENT_DOWNGRADE=refuse.
func TestAnUpgradeLeadsOverWhatWasUnpacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.engine.RefuseDowngrade = true
		s.unpack(demo("1.1.0", "1.0.0"))
		s.again("")
		s.upgrade(demo("1.2.0", "1.1.0"))
		s.ends("probation: committed, 1.2.0 runs")
		s.again("")
		s.unpack(demo("0.9.0", ""))
		s.ends("verified: refused downgrade, 1.2.0 runs")
		s.again("")
		s.request.AllowDowngrade = true
		s.unpack(demo("0.9.0", ""))
		s.ends("unpacked: unpacked, 1.2.0 runs")
		if !s.volume.State().Releases["0.9.0"].Wanted {
			t.Error("0.9.0 will not stay")
		}
		if _, err := s.engine.Remove(t.Context(), "0.9.0"); err != nil {
			t.Error(err)
		}
	})
}

// TestARollbackIsToldFromAnUpgradeToAnOlderRelease: from that one a rollback leads back.
func TestARollbackIsToldFromAnUpgradeToAnOlderRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
		s.install("1.0.0")
		s.ends("probation: committed, 1.0.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.1.0 runs")
		if left := s.volume.State().Left; left != "1.0.0" {
			t.Errorf("left is %q", left)
		}
	})
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
