package upgrade

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
	"theseus/rpc"
)

func damage(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// again is the next attempt on the same volume and node.
func (s *stage) again(script string) {
	s.path, s.events, s.history, s.before = nil, nil, nil, readDisk(s.t, s.volume)
	s.world.phase = "check"
	s.world.faults = words(script)
}

func TestWhatWasAbortedIsTriedAgain(t *testing.T) {
	for _, script := range []string{"stop:planned", "busy:one", "set_unpacked:lost+done", "check_install:error", "install:lost"} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.upgrade(second())
				s.end()
				s.again("")
				s.upgrade(second())
				s.ends("probation: committed, 1.1.0 runs")
			})
		})
	}
}

func TestWhatCouldNotBeTakenBackIsSoByTheNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "check_install:error set_removed:lost", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("unpacked: refused old-processes, 1.0.0 runs, warned")
		left := []string{s.volume.Path(".agent", "stage", "half"), s.volume.Path(".agent", "packages", "half.part")}
		for _, path := range left {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s.again("")
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		for _, path := range left {
			if _, err := os.Lstat(path); err == nil {
				t.Errorf("%s is still there", path)
			}
		}
	})
}

// TestWhatReleaseHandlerKeptOfAnAbortedAttemptIsReplaced: the next package of the same version may hold other
// applications, of which release_handler would know nothing.
func TestWhatReleaseHandlerKeptOfAnAbortedAttemptIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "check_install:error set_removed:lost", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("unpacked: refused old-processes, 1.0.0 runs, warned")
		if s.world.node.known["1.1.0"] != rpc.Unpacked {
			t.Fatal("release_handler knows nothing of 1.1.0")
		}
		s.again("set_removed:hang")
		s.upgrade(second())
		s.ends("unpacked: aborted internal, 1.0.0 runs")
		s.again("")
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
	})
}

func TestWhatWasRevertedIsMendedAndTriedAgain(t *testing.T) {
	for _, script := range []string{"install:error+end", "installed.apps:old"} {
		t.Run(script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, script, demo("1.0.0", ""))
				s.upgrade(second())
				s.end()
				s.again("")
				s.upgrade(second().with("lib/demo-1.1.0/ebin/demo.beam", "mended"))
				s.ends("probation: committed, 1.1.0 runs")
				if failed := s.volume.State().Failed; len(failed) > 0 {
					t.Errorf("what runs is said to have failed: %v", failed)
				}
			})
		})
	}
}

func TestAReleaseThatWasThereStaysWhenAnUpgradeToItIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
		s.again("check_install:error")
		s.upgrade(second())
		s.ends("unpacked: refused old-processes, 1.0.0 runs")
	})
}

func TestAnUpgradeIsRolledBackAndDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{Version: "1.1.0"})
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{}) // what was returned to is no more left than it was
		s.ends("probation: committed, 1.0.0 runs")
	})
}

// TestARollbackAfterAMakePermanentThatWasLost: the old release is still permanent in release_handler, and stays so
// when it is installed. It runs nevertheless.
func TestARollbackAfterAMakePermanentThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "make_permanent:lost", demo("1.0.0", ""))
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs, warned")
		s.again("install:lost+done")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
	})
}

func TestTheNextUpgradeMayBeginWhenTheLastIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		held, release := context.WithCancel(t.Context())
		s.world.see = func(call string) {
			if call == "install" {
				<-held.Done()
			}
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			s.upgrade(second())
		}()
		synctest.Wait() // the upgrade is in the middle of install_release
		err := s.engine.Upgrade(t.Context(), t.Context(), api.UpgradeRequest{}, bytes.NewReader(nil), nil)
		if !errors.Is(err, ErrBusy) {
			t.Errorf("a second upgrade: %v", err)
		}
		if u := s.engine.Current(); u.State != string(Installing) || u.From != "1.0.0" || u.To != "1.1.0" {
			t.Errorf("under way is %+v", u)
		}
		release()
		<-over
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
	})
}

func TestTheSettlingTimeIsTheCallersOrTheAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agents, callers, none := 2*time.Second, time.Hour, time.Duration(0)
		for want, asked := range map[time.Duration]*time.Duration{agents: nil, callers: &callers, 0: &none} {
			s := newStage(t, "", demo("1.0.0", ""))
			s.receive(t.Context(), bytes.NewReader(second().pack(t)), api.UpgradeRequest{Settle: asked})
			s.ends("probation: committed, 1.1.0 runs")
			if took := s.result().Duration; took != want {
				t.Errorf("it took %s, not %s", took, want)
			}
		}
	})
}

// TestARollbackThatIsAskedForTwiceDoesNotLeadBack, as a script does that has lost the first answer.
func TestARollbackThatIsAskedForTwiceDoesNotLeadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		<-time.After(time.Second) // of a clock that is not real
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{})
		s.ends("requested: refused already-rolled-back, 1.0.0 runs")
		s.again("")
		s.rollback(api.RollbackRequest{Version: "1.1.0"})
		s.ends("probation: committed, 1.1.0 runs")
	})
}

func TestNothingBeginsAfterTheEnd(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""))
	s.engine.Close()
	var stopping *api.Error
	if err := s.engine.Rollback(t.Context(), api.RollbackRequest{}, nil); !errors.As(err, &stopping) || stopping.Code != api.CodeStopping {
		t.Errorf("a rollback: %v", err)
	}
}

// TestOnlyWhatWasBootedForItsUpgradeIsProven: what was upgraded to in service has yet to show that it boots.
func TestOnlyWhatWasBootedForItsUpgradeIsProven(t *testing.T) {
	for way, from := range map[string]string{"in service": "1.0.0", "by a restart": ""} {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", demo("1.0.0", ""))
				s.request.Restart = true
				s.upgrade(demo("1.1.0", from))
				s.ends("probation: committed, 1.1.0 runs" + map[string]string{"": " after a restart"}[from])
				if got, want := s.volume.State().Releases["1.1.0"].Unproven, from != ""; got != want {
					t.Errorf("unproven: %v", got)
				}
			})
		})
	}
}

// TestWhoHearsOfTheEndMayGoOn: whatever the last one still has to do.
func TestWhoHearsOfTheEndMayGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		record, again := s.engine.Record, make(chan error, 1)
		s.engine.Record = func(e api.Event) {
			record(e)
			if e.Kind == "upgrade.committed" {
				go func() {
					again <- s.engine.Rollback(t.Context(), api.RollbackRequest{}, func(api.Event) {})
				}()
				synctest.Wait() // it has come as far as it can
				if s.engine.Current() != nil {
					t.Error("the upgrade is told to be over and under way")
				}
			}
		}
		s.upgrade(second())
		if err := <-again; err != nil {
			t.Error(err)
		}
		s.engine.idle.Wait()
		if boots := s.volume.State().Current; boots != "1.0.0" {
			t.Errorf("%s boots", boots)
		}
	})
}
