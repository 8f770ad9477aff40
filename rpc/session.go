package rpc

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

//go:embed session.exprs
var sessionExprs string

const (
	startTimeout = 5 * time.Second // for what starts sessions, while others wait for it too
	pieceTimeout = time.Minute     // for a piece of what is there already
	stopTimeout  = 5 * time.Second // for a session that is not needed any more
)

// session is a process in the node that does a job and is asked for what becomes of it (session.exprs).
type session struct {
	node *Node
	pid  term.Term
}

// begin starts a session. Its job begins when it is asked for the first time, so that a start may be tried twice: somebody
// in the node may have ended what starts them.
func (n *Node) begin(ctx context.Context, job term.Tuple) (*session, error) {
	pid, err := n.startSession(ctx, job)
	var gone *BadRPCError
	if errors.As(err, &gone) {
		n.forgetStarter(ctx)
		pid, err = n.startSession(ctx, job)
	}
	if err != nil {
		return nil, err
	}
	return &session{n, pid}, nil
}

func (n *Node) startSession(ctx context.Context, job term.Tuple) (pid term.Term, err error) {
	sessions, err := n.sessions(ctx)
	if err != nil {
		return nil, err
	}
	return n.question(ctx, sessions, term.Tuple{term.Atom("start"), job})
}

// sessions is the process that starts sessions. It is made once for each connection. Nobody waits for it, or for another who
// makes it, longer than ctx.
func (n *Node) sessions(ctx context.Context) (starter term.Term, err error) {
	select {
	case starter = <-n.starter:
	case <-ctx.Done():
		return nil, noAnswer(ctx)
	}
	defer func() { n.starter <- starter }()
	if starter == nil {
		starter, err = n.makeStarter(ctx)
	}
	return starter, err
}

// forgetStarter has it made anew. Where ctx ends first, the next one finds out that it is gone.
func (n *Node) forgetStarter(ctx context.Context) {
	select {
	case <-n.starter:
		n.starter <- nil
	case <-ctx.Done():
	}
}

func (n *Node) makeStarter(ctx context.Context) (term.Term, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	starter, err := n.Spawn(ctx, sessionExprs)
	if err != nil && ctx.Err() != nil {
		return nil, noAnswer(ctx)
	}
	return starter, err
}

// Spawn evaluates expressions (erl_eval) whose value is a process. Agent is what the node knows us by: the process is to end
// when it loses that node. Unlike a job this costs the same whatever runs in the node.
func (n *Node) Spawn(ctx context.Context, source string) (pid term.Term, err error) {
	return n.evaluate(ctx, source, term.Tuple{term.Atom("Agent"), term.Atom(n.link.pid.Node)})
}

// evaluate is the value of expressions (erl_eval), in which variables are bound by tuples {Name, Value}.
func (n *Node) evaluate(ctx context.Context, source string, bindings ...term.Term) (term.Term, error) {
	tokens, err := n.second(ctx, "erl_scan", "string", term.String(source))
	if err != nil {
		return nil, err
	}
	exprs, err := n.second(ctx, "erl_parse", "parse_exprs", tokens)
	if err != nil {
		return nil, err
	}
	return n.second(ctx, "erl_eval", "exprs", exprs, append(term.List{}, bindings...))
}

// noAnswer says that no job was begun.
func noAnswer(ctx context.Context) error {
	return fmt.Errorf("%w: the node does not answer: %w", ErrNotSent, inWords(context.Cause(ctx)))
}

// question asks one of our processes in the node.
func (n *Node) question(ctx context.Context, pid, question term.Term) (term.Term, error) {
	return n.second(ctx, "gen", "call", pid, term.Atom("$gen_call"), question, term.Atom("infinity"))
}

// second calls what answers a tuple such as {ok, Value}.
func (n *Node) second(ctx context.Context, module, function string, args ...term.Term) (term.Term, error) {
	answer, err := n.Call(ctx, module, function, args...)
	if err != nil {
		return nil, err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) < 2 || t[0] == term.Term(term.Atom("error")) {
		return nil, unexpected(answer)
	}
	return t[1], nil
}

// ask puts a question to the session.
func (s *session) ask(ctx context.Context, question term.Term) (term.Term, error) {
	answer, err := s.node.question(ctx, s.pid, question)
	var gone *BadRPCError
	switch {
	case errors.As(err, &gone):
		return nil, fmt.Errorf("%w: its process in the node was ended", ErrUnknownOutcome)
	case errors.Is(err, ErrNotSent) && errors.Is(err, context.DeadlineExceeded): // the question was not, and not the job
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, lateAnswer{})
	case errors.Is(err, ErrNotSent):
		return nil, fmt.Errorf("%w: the connection was lost", ErrUnknownOutcome)
	}
	return answer, err
}

// next is text that the job has printed, or its end.
func (s *session) next(ctx context.Context) (output []byte, e *end, err error) {
	answer, err := s.ask(ctx, term.Atom("next"))
	if err != nil {
		return nil, nil, err
	}
	t, _ := answer.(term.Tuple)
	switch {
	case len(t) == 2 && t[0] == term.Term(term.Atom("output")):
		if output, ok := t[1].(term.Binary); ok {
			return output, nil, nil
		}
	case len(t) == 3:
		size, sized := t[1].(int64)
		if first, ok := t[2].(term.Binary); ok && sized {
			return nil, &end{session: s, kind: words(t[0]), size: size, first: first}, nil
		}
	}
	return nil, nil, unexpected(answer)
}

// at is a piece of the end.
func (s *session) at(ctx context.Context, offset int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, pieceTimeout)
	defer cancel()
	answer, err := s.ask(ctx, term.Tuple{term.Atom("at"), offset})
	if err != nil {
		return nil, fmt.Errorf("cannot read the result on: %w", err)
	}
	piece, ok := answer.(term.Binary)
	if !ok {
		return nil, unexpected(answer)
	}
	return piece, nil
}

// stop ends the session, also when ctx has ended. One that has lost us ends by itself.
func (s *session) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	_, _ = s.ask(ctx, term.Atom("stop"))
}

// end is what a job has ended with: bytes in the node, of which the first are here.
type end struct {
	session *session
	kind    string
	size    int64
	first   []byte
}

// whole says that all of them are here.
func (e *end) whole() bool { return int64(len(e.first)) == e.size }

// source gives them.
func (e *end) source(ctx context.Context) etf.Source {
	return func(offset int64) ([]byte, error) {
		switch {
		case offset < 0 || offset >= e.size:
			return nil, nil
		case offset == 0, e.whole(): // of others the rest of the first bytes may cut what is read
			return e.first[offset:], nil
		}
		return e.session.at(ctx, offset)
	}
}

// text is the beginning, as text.
func (e *end) text() string {
	if !e.whole() {
		return strings.ToValidUTF8(string(e.first), "") + "… and more"
	}
	return string(e.first)
}

// forget ends the session, unless that has ended with all of it.
func (e *end) forget(ctx context.Context) {
	if !e.whole() {
		e.session.stop(ctx)
	}
}
