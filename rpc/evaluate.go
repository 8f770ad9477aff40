package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

// Style is how a value is written: Line, Pretty or JSON.
type Style = etf.Style

// The styles.
const (
	Line   = etf.Line
	Pretty = etf.Pretty
	JSON   = etf.JSON
)

// Job is what is to be done in the node.
type Job struct {
	call term.Tuple
	fail func(text string) error // for a badrpc
}

// CallJob applies a function, as Call does.
func CallJob(module, function string, args ...term.Term) Job {
	return Job{
		call: term.Tuple{term.Atom("call"), term.Atom(module), term.Atom(function), term.List(args)},
		fail: func(reason string) error {
			return &BadRPCError{Module: module, Function: function, Reason: term.Opaque{Text: reason}}
		},
	}
}

// ErlangJob evaluates expressions of Erlang, one after another (erl_eval:exprs/2). It ends when it is not waited for.
func ErlangJob(source string) Job {
	return Job{call: term.Tuple{term.Atom("erlang"), term.String(source)}}
}

// ElixirJob evaluates Elixir (Code.eval_string/3). Where the value is for people, it is what inspect/2 makes of it, unless
// it is larger than 4 MiB.
func ElixirJob(source string, style Style) Job {
	as := term.Atom("inspect")
	if style == JSON {
		as = "term"
	}
	return Job{call: term.Tuple{term.Atom("elixir"), term.Binary(source), as}}
}

// ExceptionError is an evaluation that failed: class, reason and stack, on several lines.
type ExceptionError struct{ Text string }

func (e *ExceptionError) Error() string { return e.Text }

// SyntaxError is a text that cannot be evaluated, so nothing of it was.
type SyntaxError struct{ Text string } // one line, with the number of the line

func (e *SyntaxError) Error() string { return e.Text }

// Value is what a job has returned. It is in the node, and read from there when it is written. Close it.
type Value struct{ end *end }

// Do has the node do a job, and passes on what that prints, piece by piece. A call prints in the node. The job can print as
// fast as print returns. The error is a *BadRPCError, *ExceptionError or *SyntaxError, or as Call has it.
func (n *Node) Do(ctx context.Context, job Job, print func(text []byte) error) (*Value, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	s, err := n.begin(ctx, job.call)
	if err != nil {
		return nil, err
	}
	e, err := s.follow(ctx, print)
	if err != nil {
		s.stop(ctx)
		return nil, err
	}
	if err := e.failure(ctx, job); err != nil {
		e.forget(ctx)
		return nil, err
	}
	return &Value{e}, nil
}

// follow waits for the end of the job.
func (s *session) follow(ctx context.Context, print func([]byte) error) (*end, error) {
	for {
		output, e, err := s.next(ctx)
		if err != nil || e != nil {
			return e, err
		}
		if err := print(output); err != nil {
			return nil, err
		}
	}
}

// failure is nil where the job has a value.
func (e *end) failure(ctx context.Context, job Job) error {
	switch e.kind {
	case "value", "text":
		return nil
	case "badrpc":
		var text beginning
		if err := etf.Write(&text, e.source(ctx), Line); err != nil && !errors.Is(err, errLonger) {
			return err
		}
		return job.fail(text.String())
	case "exception":
		return &ExceptionError{e.text()}
	case "syntax":
		return &SyntaxError{e.text()}
	}
	return fmt.Errorf("cannot read the node's answer: a session ended with %s", e.kind)
}

// beginning keeps as much of a reason as an error shows.
type beginning struct{ strings.Builder }

var errLonger = errors.New("it is longer")

func (b *beginning) Write(text []byte) (int, error) {
	room := reasonBytes - b.Len()
	if len(text) <= room {
		return b.Builder.Write(text)
	}
	b.WriteString(strings.ToValidUTF8(string(text[:room]), "") + "… and more")
	return room, errLonger
}

// Size is how many bytes the value has as it travels.
func (v *Value) Size() int64 { return v.end.size }

// Write writes the value, of any size, in a bounded amount of memory. A text of Elixir's is written as it is.
func (v *Value) Write(ctx context.Context, w io.Writer, style Style) error {
	source := v.end.source(ctx)
	if v.end.kind == "value" {
		return etf.Write(w, source, style)
	}
	for offset := int64(0); offset < v.end.size; {
		piece, err := source(offset)
		if err == nil && len(piece) == 0 {
			err = etf.ErrMalformed
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		offset += int64(len(piece))
	}
	return nil
}

// Close lets the node forget the value.
func (v *Value) Close(ctx context.Context) { v.end.forget(ctx) }

// Evaluate evaluates expressions of Erlang and writes the value of the last one as JSON. What they print is lost.
func (n *Node) Evaluate(ctx context.Context, expressions string, out io.Writer) error {
	value, err := n.Do(ctx, ErlangJob(expressions), func([]byte) error { return nil })
	if err != nil {
		return err
	}
	defer value.Close(ctx)
	return value.Write(ctx, out, JSON)
}
