package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// RPCRequest asks the node to call Module:Function(Args...). Args is Erlang text: a list of terms.
type RPCRequest struct {
	Module   string        `json:"module"`
	Function string        `json:"function"`
	Args     string        `json:"args"`
	Timeout  time.Duration `json:"timeout_ns,omitempty"`
	As       string        `json:"as,omitempty"` // how the result is written; empty: AsLine
}

// EvalRequest asks the node to evaluate expressions.
type EvalRequest struct {
	Source  string        `json:"source"`
	Lang    string        `json:"lang,omitempty"` // Erlang or Elixir; empty: the release's
	Timeout time.Duration `json:"timeout_ns,omitempty"`
	As      string        `json:"as,omitempty"`
}

// How a result is written.
const (
	AsLine   = "line"   // Erlang on one line
	AsPretty = "pretty" // Erlang as io:format("~tp") has it
	AsJSON   = "json"   // as docs/api.md has it
)

// The languages.
const (
	Erlang = "erlang"
	Elixir = "elixir"
)

// ErrorTrailer is the trailer of an answer that has begun and then failed: an Error.
const ErrorTrailer = "Agent-Error"

// PlainText is the Accept of who wants text and no JSON: what is printed, then the result and a newline.
const PlainText = "text/plain"

// RPC calls a function in the node and writes the result as it comes: as text, or with AsJSON as a line {"result": …}. A
// *Error with CodeBadRPC carries the exception as Erlang text.
func (c *Client) RPC(ctx context.Context, req RPCRequest, out io.Writer) error {
	return c.transcribe(ctx, "/v1/rpc", req, req.As, out)
}

// Eval evaluates expressions in the node and writes what they print as it is printed, and then the result, as RPC does. With
// AsJSON what is printed comes in lines {"output": …}.
func (c *Client) Eval(ctx context.Context, req EvalRequest, out io.Writer) error {
	return c.transcribe(ctx, "/v1/eval", req, req.As, out)
}

// Evaluator evaluates expressions in a node. *Client is one.
type Evaluator interface {
	Eval(ctx context.Context, req EvalRequest, out io.Writer) error
}

// Ask evaluates Erlang expressions, and reads their value into another as encoding/json does. What they print is left out.
func Ask(ctx context.Context, node Evaluator, source string, timeout time.Duration, value any) error {
	var out bytes.Buffer
	if err := node.Eval(ctx, EvalRequest{Source: source, Lang: Erlang, As: AsJSON, Timeout: timeout}, &out); err != nil {
		return fmt.Errorf("cannot ask the node: %w", err)
	}
	for line := range bytes.Lines(out.Bytes()) {
		var answer struct {
			Result json.RawMessage `json:"result"`
		}
		err := json.Unmarshal(line, &answer)
		if err == nil && answer.Result != nil {
			err = json.Unmarshal(answer.Result, value)
		}
		if err != nil {
			return fmt.Errorf("cannot read what the node says: %w", err)
		}
		if answer.Result != nil {
			return nil
		}
	}
	return fmt.Errorf("cannot read what the node says: there is no result in %.200q", out.String())
}

func (c *Client) transcribe(ctx context.Context, path string, req any, as string, out io.Writer) error {
	r, err := c.post(ctx, path, req)
	if err != nil {
		return err
	}
	if as != AsJSON {
		r.Header.Set("Accept", PlainText)
	}
	resp, err := c.do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, resp.Body); err != nil {
		return fmt.Errorf("cannot read the answer to its end: %w", err)
	}
	return trailing(resp.Trailer.Get(ErrorTrailer))
}

func trailing(text string) error {
	if text == "" {
		return nil
	}
	var e Error
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return fmt.Errorf("cannot read the agent's error: %w", err)
	}
	return &LateError{&e}
}

// LateError came when the answer had begun.
type LateError struct{ Cause *Error }

func (e *LateError) Error() string { return e.Cause.Error() }

func (e *LateError) Unwrap() error { return e.Cause }
