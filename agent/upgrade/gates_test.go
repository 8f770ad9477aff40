package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
	"theseus/agent/gate"
)

// gated are upgrades from 1.0.0 to 1.1.0 with one gate that fails: at the n-th question of a moment, "when:n", and not before.
var gated = []struct{ fails, script, want string }{
	{"", "", "probation: committed, 1.1.0 runs"},
	{"before:1", "", "checked: refused gate-failed, 1.0.0 runs"},
	{"after:1", "", "probation: reverted gate-failed, 1.0.0 runs"},
	{"settle:1", "", "probation: reverted gate-failed, 1.0.0 runs"},
	{"settle:3", "", "probation: reverted gate-failed, 1.0.0 runs"},
	{"settle:4", "", "probation: reverted gate-failed, 1.0.0 runs"},
	{"after:1", "back:error", "probation: reverted gate-failed, 1.0.0 runs after a restart, warned"},
	{"after:1", "back:error restart:error", "probation: broken gate-failed, nothing runs after a restart, warned"},
	{"", "count:error", "checked: aborted internal, 1.0.0 runs"},
	{"", "count:lost", "probation: committed, 1.1.0 runs"},
	{"", "count:end", "checked: aborted node-ended, nothing runs"},
	{"", "count:panic", "checked: aborted internal, 1.0.0 runs"},
	{"", "mailbox:stop", "checked: aborted stopping, 1.0.0 runs"},
	{"ends:after:1", "", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"ends:settle:3", "", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"ends:settle:4", "", "probation: reverted node-ended, 1.0.0 runs after a restart"}, // the last one, of a node that is not there any more
	{"", "installed.drift:some", "probation: reverted drift, 1.0.0 runs"},
}

// asked is a set of one gate that is asked ten seconds long, every three seconds and at the end, and fails at one question; or has no
// objection, and the node ends meanwhile.
type asked struct {
	fails string
	world *world
	count map[gate.When]int
}

func (q *asked) set() (gate.Set, error) {
	g := gate.Gate{
		Name: "well", Kind: "memory", When: []gate.When{gate.Before, gate.After, gate.Settle},
		Interval: 3 * time.Second, Timeout: time.Second, Ask: q.answer,
	}
	return gate.Set{Gates: []gate.Gate{g}, Settle: 10 * time.Second}, nil
}

func (q *asked) answer(_ context.Context, about *gate.Subject) error {
	q.count[about.When]++
	if (about.Since == nil) != (about.When == gate.Before) {
		return fmt.Errorf("asked %s about %+v", about.When, about.Since)
	}
	if q.fails == fmt.Sprintf("ends:%s:%d", about.When, q.count[about.When]) {
		q.world.node.end()
	}
	if q.fails == fmt.Sprintf("%s:%d", about.When, q.count[about.When]) {
		return errors.New("all is lost")
	}
	return nil
}

func newGatedStage(t *testing.T, fails, script string) (*stage, *asked) {
	s := newStage(t, script, demo("1.0.0", ""))
	q := &asked{fails: fails, world: s.world, count: map[gate.When]int{}}
	s.engine.Gates = q.set
	return s, q
}

func TestAGateThatFailsTakesTheUpgradeBack(t *testing.T) {
	for _, c := range gated {
		t.Run(c.fails+"/"+c.script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newGatedStage(t, c.fails, c.script)
				s.upgrade(second())
				s.ends(c.want)
				if s.world.node.counts || !s.engine.Counting.TryLock() {
					t.Error("the node counts on")
				}
				why, is := s.givenUp()
				if (strings.Contains(c.want, "reverted") || strings.Contains(c.want, "broken")) != is || strings.Contains(c.want, "reverted gate-failed") && why.Reason != "gate well: all is lost" {
					t.Errorf("in quarantine: %v, %+v", is, why)
				}
			})
		})
	}
}

func TestGatesAreAskedAsLongAsAReleaseSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newGatedStage(t, "", "")
		begun := time.Now()
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		if took := time.Since(begun); took != 10*time.Second || q.count[gate.Before] != 1 || q.count[gate.After] != 1 || q.count[gate.Settle] != 4 {
			t.Errorf("asked %v within %v", q.count, took)
		}
		var told []string
		for _, e := range s.events {
			if e.Kind == "gate.passed" {
				told = append(told, fmt.Sprint(e.Attrs["when"]))
			}
		}
		if !slices.Equal(told, []string{"before", "after", "settle"}) {
			t.Errorf("told of %v", told)
		}
	})
}

func TestARequestSaysHowLongAReleaseSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q := newGatedStage(t, "", "")
		settle := time.Minute
		s.request.Settle = &settle
		s.upgrade(second())
		s.ends("probation: committed, 1.1.0 runs")
		if q.count[gate.Settle] < 20 {
			t.Errorf("asked %v", q.count)
		}
	})
}

// TestNoGateHoldsUpARollback: what runs may be why it fails.
func TestNoGateHoldsUpARollback(t *testing.T) {
	for _, c := range []struct{ fails, want string }{
		{"before:2", "probation: committed, 1.0.0 runs"},
		{"after:2", "probation: committed, 1.0.0 runs, warned"},
		{"unusable", "probation: committed, 1.0.0 runs, warned"},
	} {
		t.Run(c.fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, q := newGatedStage(t, c.fails, "")
				s.upgrade(second())
				s.ends("probation: committed, 1.1.0 runs")
				s.again("")
				before := q.count[gate.Settle]
				if c.fails == "unusable" {
					s.engine.Gates = func() (gate.Set, error) { return gate.Set{}, errors.New("line 3: there is no key oops") }
				}
				s.rollback(api.RollbackRequest{})
				s.ends(c.want)
				if q.count[gate.Settle] != before || q.count[gate.Before] != 1 {
					t.Errorf("asked %v", q.count)
				}
			})
		})
	}
}

func TestGatesThatCannotBeReadAreARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newGatedStage(t, "", "")
		s.engine.Gates = func() (gate.Set, error) { return gate.Set{}, errors.New("line 3: there is no key oops") }
		s.upgrade(second())
		s.ends("requested: refused unusable-gates, 1.0.0 runs")
	})
}

// TestGatesGoOnWhileAReleaseWaits for its commit.
func TestGatesGoOnWhileAReleaseWaits(t *testing.T) {
	for fails, want := range map[string]string{
		"":           "probation: committed, 1.1.0 runs",
		"settle:100": "probation: reverted gate-failed, 1.0.0 runs",
		"settle:205": "probation: reverted gate-failed, 1.0.0 runs", // the one that the commit asks
	} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, q := newGatedStage(t, fails, "")
				s.wait(second(), api.Hold{CommitWithin: time.Hour})
				<-time.After(10*time.Minute + time.Second/2)
				if fails != "settle:100" {
					if got := q.count[gate.Settle]; got != 204 {
						t.Errorf("asked %d times", got)
					}
					if err := s.engine.Commit(api.CommitRequest{}, s.hear); err != nil {
						t.Error(err)
					}
				}
				s.engine.idle.Wait()
				s.look()
				s.events = s.history
				s.arrive()
				s.ends(want)
			})
		})
	}
}

// TestANodeThatWasBootedOnTheWayCountsFromThere: what the one before it had counted is gone with it.
func TestANodeThatWasBootedOnTheWayCountsFromThere(t *testing.T) {
	for fails, want := range map[string]string{
		"":         "probation: committed, 1.1.0 runs after a restart",
		"settle:2": "probation: reverted gate-failed, 1.0.0 runs after a restart",
	} {
		t.Run(fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newGatedStage(t, fails, "")
				first, counted := s.world.node, false
				look := s.world.see
				s.world.see = func(call string) {
					look(call)
					counted = counted || s.world.node != first && s.world.node.counts
				}
				s.request.Restart = true
				s.upgrade(demo("1.1.0", ""))
				s.ends(want)
				if !counted || s.world.node.counts {
					t.Errorf("the new node counts: %v; the one that runs does: %v", counted, s.world.node.counts)
				}
			})
		})
	}
}
