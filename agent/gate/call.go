package gate

import (
	"context"
	"fmt"
	"strings"

	"theseus/agent/printable"
	"theseus/rpc"
	"theseus/rpc/term"
)

const maxAnswer = 4 << 10 // bytes of its text, of which less is told

// rpcKind calls a function that returns ok or true.
type rpcKind struct {
	Call string `toml:"call"` // module:function
	Args string `toml:"args"` // a list of Erlang terms
}

func (k *rpcKind) gate(Source) (ask, error) {
	module, function, ok := strings.Cut(k.Call, ":")
	if !ok || module == "" || function == "" {
		return nil, fmt.Errorf("cannot use call=%q: it is no module and function, such as demo:healthy", k.Call)
	}
	args, err := rpc.ParseArgs(k.Args)
	if err != nil {
		return nil, fmt.Errorf("cannot use args=%q: %w", k.Args, err)
	}
	return func(ctx context.Context, about *Subject) error {
		node, err := about.Node(ctx)
		if err != nil {
			return err
		}
		answer, err := node.Call(ctx, module, function, args...)
		if err != nil {
			return err
		}
		if answer == term.Term(term.Atom("ok")) || answer == term.Term(term.Atom("true")) {
			return nil
		}
		text, _ := term.FormatMax(answer, maxAnswer)
		return fmt.Errorf("%s answers %s", k.Call, printable.Line(text))
	}, nil
}
