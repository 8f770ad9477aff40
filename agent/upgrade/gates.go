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

// When gates are asked, and what follows where one fails:
//
//	checked                   before   refused, nothing was touched
//	probation                 after    reverted
//	settling, waiting         settle   reverted; each at its interval, and once more at the end
//
// A rollback leads out of what is not well, and nothing holds it up: gates are asked after it, and one that fails is a warning.

// forgetTimeout is for a node that is to forget what it counted.
const forgetTimeout = 2 * time.Second

// readGates comes before anything is received.
func (a *attempt) readGates() error {
	if a.Gates == nil || a.kind == kindUnpack {
		return nil
	}
	set, err := a.Gates()
	switch {
	case err != nil && a.kind == volume.KindRollback:
		a.warn("%v", err)
		return nil
	case err != nil:
		refusal := refuse(api.CodeUnusableGates, "cannot begin the %s: %v", a.kind, err)
		refusal.Hint = "agent gate check tells whether they can be used"
		return refusal
	}
	a.gates = set
	if set.Settle > 0 && !a.settled && a.kind != volume.KindRollback {
		a.settle = set.Settle
	}
	return nil
}

// subject is what gates are asked about.
func (a *attempt) subject() gate.Subject {
	node := a.node
	return gate.Subject{
		Upgrade: a.id, Name: a.name, From: a.from, To: a.to, Since: a.since,
		Node: func(ctx context.Context) (gate.Node, error) {
			if node == nil {
				return nil, errors.New("the node is down")
			}
			return node.Handler(ctx)
		},
	}
}

// askGates asks those of a moment. The error is of the first that fails.
func (a *attempt) askGates(ctx context.Context, when gate.When) (failed error) {
	for _, r := range a.gates.Ask(ctx, when, a.subject()) {
		if ctx.Err() != nil {
			return errStopping
		}
		if err := a.tellGate(r); failed == nil {
			failed = err
		}
	}
	return failed
}

func (a *attempt) tellGate(r gate.Result) error {
	attrs := map[string]any{"gate": r.Gate.Name, "kind": r.Gate.Kind, "when": string(r.When), "ms": r.Took.Milliseconds()}
	if r.Err == nil {
		a.emit("gate.passed", fmt.Sprintf("gate %s has no objection", r.Gate.Name), attrs)
		return nil
	}
	e := refuse(api.CodeGateFailed, "gate %s: %v", r.Gate.Name, r.Err)
	a.send(api.Event{Kind: "gate.failed", Message: e.Message, Attrs: attrs, Error: e})
	return e
}

// askBefore is for the last moment at which nothing was touched.
func (a *attempt) askBefore(ctx context.Context) error {
	if a.kind == volume.KindRollback {
		if err := a.noteVitals(ctx); err != nil {
			a.warn("%v", err)
		}
		return nil
	}
	if err := a.askGates(ctx, gate.Before); err != nil {
		return err
	}
	return a.noteVitals(ctx)
}

// noteVitals has the node count from now on. A node that is down is one that is about to be another one.
func (a *attempt) noteVitals(ctx context.Context) (err error) {
	if a.node == nil || !a.gates.Counts() {
		return nil
	}
	if a.counting == nil {
		a.Counting.Lock() // agent gate check may have it, for as long as its gates take
	}
	a.counting = a.node
	a.since, err = ask(ctx, a, func(h Handler) (*gate.Vitals, error) { return gate.Begin(ctx, h) })
	if err != nil {
		return fmt.Errorf("cannot note how the node is before the %s: %w", a.kind, err)
	}
	return nil
}

// askAfter asks once what runs now. A node that was booted on the way counts from here.
func (a *attempt) askAfter(ctx context.Context) (err error) {
	if a.counting != a.node {
		err = a.noteVitals(ctx)
	}
	if err == nil {
		err = a.askGates(ctx, gate.After)
	}
	if err != nil && a.kind == volume.KindRollback && ctx.Err() == nil {
		a.warn("%v", err)
		return nil
	}
	return err
}

// gateWatch is the gates that are asked while a release settles or waits.
type gateWatch struct {
	failed <-chan *gate.Result // the first one, if there is one
	end    func()              // returns when nobody asks any more
}

func (a *attempt) watchGates(ctx context.Context) gateWatch {
	if a.kind == volume.KindRollback {
		return gateWatch{end: func() {}}
	}
	ctx, cancel := context.WithCancel(ctx)
	failed, over := make(chan *gate.Result, 1), make(chan struct{})
	about := a.subject()
	go func() {
		defer close(over)
		if r := a.gates.Watch(ctx, about); r != nil {
			failed <- r
		}
	}()
	return gateWatch{failed: failed, end: func() { cancel(); <-over }}
}

// lookAgain is the look before what follows cannot be taken back so easily. Processes had time to leave old code.
func (a *attempt) lookAgain(ctx context.Context) error {
	if err := a.observe(ctx, a.release); err != nil {
		return err
	}
	if err := a.lookAround(ctx, a.release); err != nil || a.kind == volume.KindRollback {
		return err
	}
	return a.askGates(ctx, gate.Settle)
}

// forgetVitals ends what noteVitals began. A node that is gone has forgotten it, and the next attempt begins anew anyway.
func (a *attempt) forgetVitals() {
	if a.counting == nil {
		return
	}
	node := a.counting
	a.counting = nil
	defer a.Counting.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), forgetTimeout)
	defer cancel()
	if h, err := node.Handler(ctx); err == nil {
		_ = h.ForgetVitals(ctx)
	}
}
