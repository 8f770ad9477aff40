package rpc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

// DefaultTimeout is the deadline of a call whose context has none.
const DefaultTimeout = 30 * time.Second

var (
	// ErrNoTerm says that an argument is nothing that a node can be sent. It comes with ErrNotSent.
	ErrNoTerm = errors.New("an argument is no term")
	// ErrNotSent says that the node did not get the call, so it did not happen.
	ErrNotSent = errors.New("the call was not sent")
	// ErrUnknownOutcome says that the node may have got the call, but its answer was not seen. Observe the
	// node to find out what happened.
	ErrUnknownOutcome = errors.New("the outcome is unknown")
	// ErrTooLarge says that the call was made, and that its answer is larger than what is read.
	ErrTooLarge = etf.ErrTooLarge
)

// lateAnswer is a deadline for people, who did not ask for a context.
type lateAnswer struct{}

func (lateAnswer) Error() string { return "no answer in time" }
func (lateAnswer) Unwrap() error { return context.DeadlineExceeded }

func inWords(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return lateAnswer{}
	}
	return err
}

// endedBy is why what failed did: where its time was up, that.
func endedBy(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return inWords(cause)
	}
	return err
}

// BadRPCError is a call that failed in the node: it raised an error, exited, or does not exist.
type BadRPCError struct {
	Module, Function string
	Reason           term.Term // usually {'EXIT', Why}
}

func (e *BadRPCError) Error() string {
	return fmt.Sprintf("cannot call %s:%s: %s", e.Module, e.Function, briefTerm(e.Reason))
}

// Call applies a function in the node and returns what it returns, or throws (rpc:call/4). What it prints goes
// to the node's own standard output. The error is a *BadRPCError, or wraps ErrNotSent, ErrUnknownOutcome
// or ErrTooLarge, or says that the answer cannot be read.
func (n *Node) Call(ctx context.Context, module, function string, args ...term.Term) (term.Term, error) {
	answer, err := n.ask(ctx, mfa(module, function, args...), asItCame)
	if err != nil {
		return nil, fmt.Errorf("cannot call %s:%s: %w", module, function, err)
	}
	if reason, failed := badRPC(answer); failed {
		return nil, &BadRPCError{Module: module, Function: function, Reason: reason}
	}
	return answer, nil
}

// ParseArgs reads the arguments of a call, a list of terms; nothing at all is an empty list.
func ParseArgs(text string) ([]term.Term, error) {
	if text == "" {
		return nil, nil
	}
	t, err := term.ParseOne([]byte(text))
	if err != nil {
		return nil, err
	}
	switch list := t.(type) {
	case term.List:
		return list, nil
	case term.String: // [1,2,3] may have been written as "…": it is the same list
		var args []term.Term
		for _, c := range string(list) {
			args = append(args, int64(c))
		}
		return args, nil
	}
	return nil, errors.New("they are no list")
}

// badRPC is the reason of a call that failed.
func badRPC(answer term.Term) (reason term.Term, failed bool) {
	if t, ok := answer.(term.Tuple); ok && len(t) == 2 && t[0] == term.Atom("badrpc") {
		return t[1], true
	}
	return nil, false
}

func (n *Node) ask(ctx context.Context, call term.Term, read func(term.Term) (term.Term, error)) (term.Term, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return n.link.request(ctx, call, read)
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// mfa is a call as rex takes it. The atom user in place of a group leader is rex's word for "print in the node": it is
// made for hidden nodes, that serve no I/O (kernel rpc:set_group_leader/1).
func mfa(module, function string, args ...term.Term) term.Term {
	return term.Tuple{term.Atom("call"), term.Atom(module), term.Atom(function), term.List(args), term.Atom("user")}
}
