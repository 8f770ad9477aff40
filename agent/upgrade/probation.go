package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/agent/api"
	"theseus/agent/gate"
	"theseus/volume"
)

// A release settles, and then, where a person is to end its probation, rests: that outlives the request. Either goes on until one of these comes.
//
//	                            settling                                        resting
//	a commit                    busy                                            committed
//	a rollback                  reverted, as was asked for                      the same
//	the deadline                committed, or rests                             reverted: not-committed
//	the end of the node         reverted: the keeper boots the old release      the same
//	a gate that fails           reverted: gate-failed                           the same
//	the agent is told to stop   interrupted: the next start boots the old one    the same
var (
	errTakenBack = errors.New("it was taken back")
	errLate      = errors.New("nobody has committed it in time")
)

// decision is what a person wants, who is told of all that follows. The zero value is none.
type decision struct {
	commit bool
	on     func(api.Event)
}

// Commit makes permanent what waits for that, and reports it to on.
func (e *Engine) Commit(req api.CommitRequest, on func(api.Event)) error {
	a, err := e.wake(func(a *attempt) error {
		switch {
		case a.commitBy.IsZero():
			return ErrBusy
		case req.Version != "" && req.Version != a.to:
			return refuse(api.CodeNotOnProbation, "cannot commit %s: it is %s that waits for it", a.describeRelease(req.Version), a.to)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a == nil {
		return e.nothingToCommit()
	}
	a.decide(decision{commit: true, on: on})
	return nil
}

func (e *Engine) nothingToCommit() error {
	s := e.Volume.State()
	if e.Current() != nil {
		return ErrBusy
	}
	refusal := refuse(api.CodeNotOnProbation, "cannot commit: no release is on probation")
	refusal.State = fmt.Sprintf("%s %s is permanent", s.Releases[s.Current].Name, s.Current)
	return refusal
}

// recall ends the probation under way, where the rollback means that; else there is nothing to take back.
func (e *Engine) recall(req api.RollbackRequest, on func(api.Event)) (taken bool, err error) {
	a, err := e.wake(func(a *attempt) error {
		switch {
		case req.Version != "" && req.Version != a.from || a.kind == volume.KindRollback:
			return ErrBusy
		case !a.leadsBack() && !req.Restart:
			refusal := refuse(api.CodeNeedsRestart, "cannot take %s back in service: no relup leads to %s", a.describeRelease(a.to), a.from)
			refusal.Hint = "agent rollback --restart restarts the node into it: its state and connections end"
			refusal.State = a.describeRelease(a.to) + " runs on, on probation"
			return refusal
		}
		return nil
	})
	if a == nil || err != nil {
		return false, err
	}
	a.decide(decision{on: on})
	return true, nil
}

// wake ends the wait of the attempt under way, unless somebody has already, or it is not the one that is meant. Who wakes it
// must decide.
func (e *Engine) wake(meant func(*attempt) error) (*attempt, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.current
	if a == nil || !a.heeds {
		return nil, nil
	}
	if err := meant(a); err != nil {
		return nil, err
	}
	a.heeds = false
	a.waitUntil(time.Time{})
	return a, nil
}

// decide returns when what was decided is done.
func (a *attempt) decide(d decision) {
	a.decided <- d
	<-a.over
}

// waitUntil is called with the engine's lock, so that one decision is taken.
func (a *attempt) waitUntil(deadline time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.commitBy = deadline
}

// hear lets others decide from now on, until a deadline if it is for a person to commit.
func (a *attempt) hear(deadline time.Time) {
	a.Engine.mu.Lock()
	defer a.Engine.mu.Unlock()
	a.heeds = true
	a.waitUntil(deadline)
}

// await returns with a decision, or with what came before it; errLate says that nothing came in time.
func (a *attempt) await(ctx context.Context, within time.Duration, watch gateWatch) (made decision, end error) {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	var failed *gate.Result
	select {
	case made = <-a.decided:
		return made, nil
	case <-deadline.C:
		end = errLate
	case <-a.node.Ended():
		end = errNodeEnded
	case failed = <-watch.failed:
	case <-ctx.Done():
		end = errStopping
	}
	if woken, _ := a.wake(func(*attempt) error { return nil }); woken == nil { // somebody decides at this moment, and hears how it ends
		made = <-a.decided
	}
	if failed != nil {
		end = a.tellGate(*failed)
	}
	return made, end
}

// settles waits until a release has run well for so long. Who takes it back hears of all that follows, as its caller does.
func (a *attempt) settles(ctx context.Context, watch gateWatch) error {
	a.hear(time.Time{})
	made, end := a.await(ctx, a.settle, watch)
	if caller := a.on; made.on != nil {
		a.on = func(e api.Event) { made.on(e); caller(a.asFailure(e)) }
	}
	switch {
	case end != nil && !errors.Is(end, errLate):
		return end
	case made.on != nil:
		return errTakenBack
	}
	return nil
}

// asFailure is what the caller of an upgrade hears of an end that somebody else has asked for.
func (a *attempt) asFailure(e api.Event) api.Event {
	if e.Result == nil || e.Result.Outcome != api.Reverted || e.Error != nil {
		return e
	}
	r := *e.Result
	r.Error = a.explain(errTakenBack)
	r.Error.State = a.describeRelease(a.from) + " runs again"
	e.Result, e.Error = &r, r.Error
	return e
}

// rest lets the caller go, and waits for a decision. It is nil where that is to commit.
func (a *attempt) rest(ctx context.Context, watch gateWatch) error {
	a.tellOfRest(time.Now().Add(a.within))
	return a.heed(a.await(ctx, a.within, watch))
}

func (a *attempt) tellOfRest(until time.Time) {
	r := a.result(api.Probation, nil)
	r.CommitBy = until
	a.conclude(r, a.kind+"."+string(api.Probation), fmt.Sprintf("%s runs and is not permanent: agent commit makes it so, agent rollback takes it back; %s comes back by itself in %s",
		a.describeRelease(a.to), a.from, a.within))
	a.on = func(api.Event) {}
	a.Keeper.Rest()
	a.hear(until)
	close(a.rests)
}

// heed says what follows: a decision comes before the deadline, and the end of the node or of the agent before both.
func (a *attempt) heed(made decision, end error) error {
	a.Keeper.Protect(a.from)
	if made.on != nil {
		a.on = made.on
	}
	switch {
	case end != nil && !errors.Is(end, errLate):
		return end
	case made.commit:
		return nil
	case made.on != nil:
		return errTakenBack
	}
	return refuse(codeNotCommitted, "nobody has committed %s within %s", a.describeRelease(a.to), a.within)
}
