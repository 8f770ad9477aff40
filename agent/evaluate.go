package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"theseus/agent/api"
	"theseus/agent/control"
	"theseus/rpc"
)

const (
	rpcTimeout    = 15 * time.Second // where the caller gives none
	rpcMaxTimeout = time.Hour
	bigResult     = 1 << 20 // bytes
)

// styles are how a value may be asked for.
var styles = map[string]rpc.Style{"": rpc.Line, api.AsLine: rpc.Line, api.AsPretty: rpc.Pretty, api.AsJSON: rpc.JSON}

func styleOf(as string) (rpc.Style, error) {
	style, known := styles[as]
	if !known {
		return style, &api.Error{
			Code: api.CodeBadRequest, Message: fmt.Sprintf("cannot read as=%q: it is none of %s, %s, %s", as, api.AsLine, api.AsPretty, api.AsJSON),
		}
	}
	return style, nil
}

// RPC calls a function in the node.
func (a *agent) RPC(ctx context.Context, req api.RPCRequest, to control.Transcript) error {
	style, err := styleOf(req.As)
	if err != nil {
		return err
	}
	args, err := rpc.ParseArgs(req.Args)
	if err != nil {
		return &api.Error{Code: api.CodeBadRequest, Message: "cannot read the arguments: " + err.Error(), Hint: `arguments are a list of Erlang terms: [1, "text", {a, b}]`}
	}
	timeout := callTimeout(req.Timeout)
	err = a.do(ctx, work{rpc.CallJob(req.Module, req.Function, args...), style, timeout}, to)
	if errors.As(err, new(*nodeDownError)) {
		return &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot call %s:%s: %v", req.Module, req.Function, err)}
	}
	if err != nil {
		return rpcError(req, timeout, err)
	}
	return nil
}

// Eval evaluates expressions in the node. What they say is in no log and no history: it may hold secrets.
func (a *agent) Eval(ctx context.Context, req api.EvalRequest, to control.Transcript) error {
	style, err := styleOf(req.As)
	if err != nil {
		return err
	}
	job, err := a.evaluation(req, style)
	if err != nil {
		return err
	}
	timeout := callTimeout(req.Timeout)
	err = a.do(ctx, work{job, style, timeout}, to)
	if errors.As(err, new(*nodeDownError)) {
		return &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot evaluate it: %v", err)}
	}
	if err != nil {
		return evalError(timeout, err)
	}
	return nil
}

func (a *agent) evaluation(req api.EvalRequest, style rpc.Style) (rpc.Job, error) {
	lang := req.Lang
	if lang == "" {
		_, release := a.keeper.snapshot()
		lang = language(a.volume.ReleaseDir(release.Version))
	}
	switch lang {
	case api.Erlang:
		return rpc.ErlangJob(req.Source), nil
	case api.Elixir:
		return rpc.ElixirJob(req.Source, style), nil
	}
	return rpc.Job{}, &api.Error{Code: api.CodeBadRequest, Message: fmt.Sprintf("cannot evaluate %q: it is none of %s, %s", lang, api.Erlang, api.Elixir)}
}

// work is a job, and what its caller wants of it.
type work struct {
	job     rpc.Job
	style   rpc.Style
	timeout time.Duration // until its value is there; to read that takes as long as it takes
}

// nodeDownError says that nothing was asked of the node, as it cannot be reached.
type nodeDownError struct{ error }

func (a *agent) do(ctx context.Context, w work, to control.Transcript) error {
	waiting, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	node, err := a.keeper.current()
	if err != nil {
		return &nodeDownError{err}
	}
	conn, err := node.connect(waiting)
	if err != nil {
		return &nodeDownError{err}
	}
	value, err := conn.Do(waiting, w.job, to.Print)
	if err != nil {
		return err
	}
	defer value.Close(ctx)
	if value.Size() > bigResult {
		defer debug.FreeOSMemory() // what was garbage now is memory of the node's
	}
	return value.Write(ctx, to, w.style)
}

func evalError(timeout time.Duration, err error) *api.Error {
	var exception *rpc.ExceptionError
	var syntax *rpc.SyntaxError
	switch {
	case errors.As(err, &exception):
		return &api.Error{Code: api.CodeException, Message: exception.Text}
	case errors.As(err, &syntax):
		return &api.Error{Code: api.CodeSyntax, Message: "cannot evaluate it: " + syntax.Text, State: "nothing was evaluated"}
	case errors.Is(err, rpc.ErrTooLarge):
		return &api.Error{Code: api.CodeTooLarge, Message: err.Error(), State: "the expressions were evaluated"}
	case errors.Is(err, rpc.ErrNoTerm):
		return &api.Error{Code: api.CodeBadRequest, Message: err.Error(), State: "nothing was evaluated"}
	case errors.Is(err, rpc.ErrNotSent):
		return &api.Error{Code: api.CodeNodeDown, Message: err.Error(), State: "nothing was evaluated"}
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut(timeout, fmt.Sprintf("there was no value within %s", timeout), "the evaluation was ended; what it had done is done")
	case errors.Is(err, rpc.ErrUnknownOutcome):
		return &api.Error{Code: api.CodeInternal, Message: "cannot tell what became of the evaluation: the connection to the node was lost", Hint: "agent status tells how the node is"}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}

func timedOut(timeout time.Duration, message, state string) *api.Error {
	e := &api.Error{Code: api.CodeTimeout, Message: message, State: state}
	if timeout < rpcMaxTimeout {
		e.Hint = fmt.Sprintf("--timeout allows more, up to %s", rpcMaxTimeout)
	}
	return e
}

// callTimeout is how long a call may take for which the caller wants to wait so long.
func callTimeout(wanted time.Duration) time.Duration {
	if wanted <= 0 {
		return rpcTimeout
	}
	return min(wanted, rpcMaxTimeout)
}

func rpcError(req api.RPCRequest, timeout time.Duration, err error) *api.Error {
	var bad *rpc.BadRPCError
	var ended *rpc.ExceptionError
	switch {
	case errors.As(err, &bad):
		return &api.Error{Code: api.CodeBadRPC, Message: err.Error()}
	case errors.As(err, &ended):
		return &api.Error{Code: api.CodeBadRPC, Message: fmt.Sprintf("cannot call %s:%s: %v", req.Module, req.Function, err)}
	case errors.Is(err, rpc.ErrTooLarge):
		return &api.Error{
			Code: api.CodeTooLarge, Message: err.Error(), State: "the function was called",
			Hint: "have the node return less, or write it to a file",
		}
	case errors.Is(err, rpc.ErrNoTerm):
		return &api.Error{Code: api.CodeBadRequest, Message: err.Error(), State: "the function was not called"}
	case errors.Is(err, rpc.ErrNotSent):
		return &api.Error{Code: api.CodeNodeDown, Message: err.Error(), State: "the function was not called"}
	case errors.Is(err, context.DeadlineExceeded):
		return timedOut(timeout, fmt.Sprintf("cannot tell what became of %s:%s: no answer within %s", req.Module, req.Function, timeout),
			"it may still run in the node")
	case errors.Is(err, rpc.ErrUnknownOutcome):
		return &api.Error{
			Code: api.CodeInternal, Message: fmt.Sprintf("cannot tell what became of %s:%s: the connection to the node was lost", req.Module, req.Function),
			Hint: "agent status tells how the node is",
		}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}
