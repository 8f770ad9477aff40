package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/rpc/term"
)

// DefaultTimeout is the deadline of a call whose context has none.
const DefaultTimeout = 30 * time.Second

var (
	// ErrNotSent says that the node did not get the call, so it did not happen.
	ErrNotSent = errors.New("the call was not sent")
	// ErrUnknownOutcome says that the node may have got the call, but its answer was not seen. Observe the
	// node to find out what happened.
	ErrUnknownOutcome = errors.New("the outcome is unknown")
	// ErrTooLarge says that the call was made and that its answer is larger than what is read.
	ErrTooLarge = errors.New("the answer is too large")
)

// BadRPCError is a call that failed in the node: it raised an error, exited, or does not exist.
type BadRPCError struct {
	Module, Function string
	Reason           term.Term // usually {'EXIT', Why}
}

func (e *BadRPCError) Error() string {
	return fmt.Sprintf("cannot call %s:%s: %s", e.Module, e.Function, brief(term.Format(e.Reason)))
}

// Call applies a function in the node and returns what it returns, or throws (rpc:call/4). What it prints goes
// to the node's own standard output. The error is a *BadRPCError, or wraps ErrNotSent, ErrUnknownOutcome
// or ErrTooLarge, or says that the answer cannot be read.
func (n *Node) Call(ctx context.Context, module, function string, args ...term.Term) (term.Term, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	answer, err := n.link.call(ctx, module, function, args...)
	if err != nil {
		return nil, fmt.Errorf("cannot call %s:%s: %w", module, function, err)
	}
	if t, ok := answer.(term.Tuple); ok && len(t) == 2 && t[0] == term.Atom("badrpc") {
		return nil, &BadRPCError{Module: module, Function: function, Reason: t[1]}
	}
	return answer, nil
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// call asks the process rex, which runs each call in a process of its own. The atom user in place of a group
// leader is rex's word for "print in the node": it is made for hidden nodes, that serve no I/O (kernel rpc:set_group_leader/1).
func (l *link) call(ctx context.Context, module, function string, args ...term.Term) (term.Term, error) {
	mfa := term.Tuple{term.Atom("call"), term.Atom(module), term.Atom(function), term.List(args), term.Atom("user")}
	return l.request(ctx, "rex", mfa)
}
