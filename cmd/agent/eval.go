package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"theseus/agent/api"
)

// maxSource is how much is evaluated at once, bytes.
const maxSource = 512 << 10

func (c *cli) rpcCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rpc MODULE FUNCTION [ARGS]",
		Short: "Call a function in the node",
		Long: `Rpc calls MODULE:FUNCTION in the node and prints the result as an Erlang term, however large it is. ARGS is a
list of Erlang terms, in one word of the shell. What the function prints goes to the node's own output. With --json the
result is JSON, as docs/api.md maps it.

  docker exec CONTAINER agent rpc erlang system_info '[process_count]'

` + exitHelp,
		Args: args(2, 3),
		RunE: func(cmd *cobra.Command, given []string) error {
			req := api.RPCRequest{Module: given[0], Function: given[1], Args: strings.Join(given[2:], ""), Timeout: timeout, As: c.as()}
			return c.late(c.client().RPC(cmd.Context(), req, c.stdout))
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 15*time.Second, "how long to wait for the result, an hour at most")
	return cmd
}

func (c *cli) evalCommand() *cobra.Command {
	req := api.EvalRequest{}
	cmd := &cobra.Command{
		Use:   "eval [EXPRESSIONS|-]",
		Short: "Evaluate Erlang or Elixir in the node",
		Long: `Eval evaluates expressions in the node, one after another with the variables of those before, and prints the
value of the last one; - or nothing reads them from standard input. What they print comes out as it is printed. An Erlang expression
ends with a period; that of the last one may be missing. In a release that mix made, they are Elixir.

  docker exec CONTAINER agent eval 'N = erlang:system_info(process_count). N * 2.'
  docker exec -i CONTAINER agent eval - < look.erl

It fails where an expression does, and tells class, reason and stack. Interrupted, or after --timeout, the evaluation
is ended; what it had done is done. With --json each line is a document: {"output": …} for what is printed, and at the
end {"result": …}, as docs/api.md maps it, or {"error": …}.

` + exitHelp,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			c.lines, req.As = true, c.as()
			if len(given) == 0 && isTerminal(c.stdin) {
				return usageError{errors.New("cannot read the expressions: standard input is a terminal; agent remote opens a shell")}
			}
			if req.Source, err = c.source(append(given, "-")[0]); err != nil {
				return err
			}
			return c.late(c.client().Eval(cmd.Context(), req, c.stdout))
		},
	}
	cmd.Flags().DurationVar(&req.Timeout, "timeout", 15*time.Second, "how long to wait for the value, an hour at most")
	cmd.Flags().StringVar(&req.Lang, "lang", "", "erlang or elixir (default: what the release is)")
	return cmd
}

// as is how results are written.
func (c *cli) as() string {
	if c.json {
		return api.AsJSON
	}
	return api.AsPretty
}

// source are the expressions themselves.
func (c *cli) source(given string) (string, error) {
	if given != "-" {
		return given, nil
	}
	text, err := io.ReadAll(io.LimitReader(c.stdin, maxSource+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read the expressions: %w", err)
	case len(text) > maxSource:
		return "", &api.Error{Code: api.CodeTooLarge, Message: fmt.Sprintf("cannot evaluate standard input: it has more than %d bytes", maxSource), State: "nothing was evaluated"}
	}
	return string(text), nil
}

// late tells of what came behind the beginning of an answer. On standard output is no place for it any more.
func (c *cli) late(err error) error {
	var late *api.LateError
	if !c.json || !errors.As(err, &late) {
		return err
	}
	c.complain(late.Cause)
	c.status = statusOf(late.Cause.Code)
	return nil
}
