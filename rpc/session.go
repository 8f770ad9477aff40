package rpc

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

//go:embed session.exprs
var sessionExprs string

const (
	pieceTimeout = time.Minute     // for a piece of what is there already
	stopTimeout  = 5 * time.Second // for a session that is not needed any more
)

// session is a process in the node that does a job and is asked for what becomes of it (session.exprs).
type session struct {
	node *Node
	pid  term.Term
}

// begin starts a session.
func (n *Node) begin(ctx context.Context, job term.Tuple) (*session, error) {
	start, err := n.sessions(ctx)
	if err != nil {
		return nil, err
	}
	pid, err := n.Call(ctx, "erlang", "apply", start, term.List{job, term.Atom(n.link.pid.Node)})
	if err != nil {
		return nil, err
	}
	return &session{n, pid}, nil
}

// sessions is the fun that starts a session. What the node has made of its text once is kept.
func (n *Node) sessions(ctx context.Context) (term.Term, error) {
	n.starting.Lock()
	defer n.starting.Unlock()
	if n.start != nil {
		return n.start, nil
	}
	tokens, err := n.second(ctx, "erl_scan", "string", term.String(sessionExprs))
	if err != nil {
		return nil, err
	}
	exprs, err := n.second(ctx, "erl_parse", "parse_exprs", tokens)
	if err != nil {
		return nil, err
	}
	n.start, err = n.second(ctx, "erl_eval", "exprs", exprs, term.List{})
	return n.start, err
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
	answer, err := s.node.second(ctx, "gen", "call", s.pid, term.Atom("$gen_call"), question, term.Atom("infinity"))
	var gone *BadRPCError
	switch {
	case errors.As(err, &gone):
		return nil, fmt.Errorf("%w: its process in the node was ended", ErrUnknownOutcome)
	case errors.Is(err, ErrNotSent): // the question, and not the job
		return nil, fmt.Errorf("%w: %s", ErrUnknownOutcome, err.Error())
	}
	return answer, err
}

// next is text that the job has printed, or the kind of its end and how many bytes that has.
func (s *session) next(ctx context.Context) (output []byte, kind string, size int64, err error) {
	answer, err := s.ask(ctx, term.Atom("next"))
	if err != nil {
		return nil, "", 0, err
	}
	t, _ := answer.(term.Tuple)
	if len(t) != 2 {
		return nil, "", 0, unexpected(answer)
	}
	switch value := t[1].(type) {
	case term.Binary:
		return value, "", 0, nil
	case int64:
		return nil, words(t[0]), value, nil
	}
	return nil, "", 0, unexpected(answer)
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

// source gives size bytes of the end.
func (s *session) source(ctx context.Context, size int64) etf.Source {
	return func(offset int64) ([]byte, error) {
		if offset < 0 || offset >= size {
			return nil, nil
		}
		return s.at(ctx, offset)
	}
}

// all is a short end as text; of a longer one the beginning.
func (s *session) all(ctx context.Context, size int64) (string, error) {
	if size == 0 {
		return "", nil
	}
	text, err := s.at(ctx, 0)
	if err == nil && int64(len(text)) < size {
		text = append(text, "… and more"...)
	}
	return string(text), err
}
