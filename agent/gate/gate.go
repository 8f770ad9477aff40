// Package gate asks whether the system is well: before an installation, after it, and for as long as it is on probation. What is
// asked stands in a file of the image (file.go). A gate that hangs, crashes, floods or cannot be asked is one that fails.
package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"theseus/rpc"
	"theseus/rpc/term"
)

// When is the moment at which a gate is asked.
type When string

// The moments.
const (
	Before When = "before" // an installation: if it fails, nothing is touched
	After  When = "after"  // an installation, once
	Settle When = "settle" // again and again while the new release settles, or waits for somebody to commit it
	Now    When = "now"    // somebody asks for it, and nothing follows; no gate is for it
)

// Gate is one question.
type Gate struct {
	Name, Kind string
	When       []When
	Retries    int           // after a failed try
	Interval   time.Duration // between two tries, and between two questions while a release settles
	Timeout    time.Duration // of each try
	// Ask is nil when all is well, or says what is not.
	Ask func(context.Context, *Subject) error
}

// Set is all that is asked.
type Set struct {
	Gates  []Gate
	Settle time.Duration // how long a new release is watched; 0: the file does not say
}

// Node is the node as gates see it. *rpc.Node is one.
type Node interface {
	Call(ctx context.Context, module, function string, args ...term.Term) (term.Term, error)
	CountVitals(ctx context.Context) error
	ForgetVitals(ctx context.Context) error
	Vitals(ctx context.Context) (rpc.Vitals, error)
	Mailbox(ctx context.Context) (length int64, owner string, err error)
}

// Subject is what they are asked about.
type Subject struct {
	Upgrade, Name, From, To string
	When                    When // set by who asks
	// Node connects to the node, anew where the connection was lost.
	Node func(context.Context) (Node, error)
	// Since is how the node was when the installation began; nil before.
	Since *Vitals
}

// Result is what a gate said.
type Result struct {
	Gate *Gate
	When When
	Took time.Duration // with all its tries
	Err  error         // nil: all is well
}

// Ask asks each gate of a moment, all at once, and returns when each has said something. So it takes as long as the slowest,
// which is bounded.
func (s Set) Ask(ctx context.Context, when When, about Subject) []Result {
	about.When = when
	var results []Result
	for i := range s.Gates {
		if g := &s.Gates[i]; slices.Contains(g.When, when) {
			results = append(results, Result{Gate: g, When: when})
		}
	}
	var asking sync.WaitGroup
	for i := range results {
		asking.Go(func() { results[i].ask(ctx, about) })
	}
	asking.Wait()
	return results
}

// Once is the same set, each gate of which is asked now, and once.
func (s Set) Once() Set {
	s.Gates = slices.Clone(s.Gates)
	for i := range s.Gates {
		s.Gates[i].When, s.Gates[i].Retries = []When{Now}, 0
	}
	return s
}

// Watch asks the gates of Settle, each at its interval, until ctx is done; then it is nil. Otherwise it returns with the first
// that fails.
func (s Set) Watch(ctx context.Context, about Subject) *Result {
	about.When = Settle
	ctx, end := context.WithCancel(ctx)
	defer end()
	var watching sync.WaitGroup
	failed := make(chan *Result, len(s.Gates))
	for i := range s.Gates {
		if g := &s.Gates[i]; slices.Contains(g.When, Settle) {
			watching.Go(func() { g.watch(ctx, about, failed) })
		}
	}
	defer watching.Wait()
	defer end()
	select {
	case first := <-failed:
		return first
	case <-ctx.Done():
		return nil
	}
}

func (g *Gate) watch(ctx context.Context, about Subject, failed chan<- *Result) {
	for pause(ctx, g.Interval) {
		r := Result{Gate: g, When: Settle}
		if r.ask(ctx, about); r.Err != nil && ctx.Err() == nil {
			failed <- &r
			return
		}
	}
}

// ask asks a gate until it says that all is well, as often as its retries allow.
func (r *Result) ask(ctx context.Context, about Subject) {
	begun := time.Now()
	defer func() { r.Took = time.Since(begun) }()
	for tries := 0; ; tries++ {
		if r.Err = r.Gate.try(ctx, about); r.Err == nil || tries == r.Gate.Retries || !pause(ctx, r.Gate.Interval) {
			return
		}
	}
}

// try asks once. What panics here is an error of the agent's, and none that ends PID 1.
func (g *Gate) try(ctx context.Context, about Subject) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the agent met an error of its own: %v", cause)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	err = g.Ask(ctx, &about)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", g.Timeout)
	}
	return err
}

// pause is false when ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
