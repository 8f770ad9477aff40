package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"

	"theseus/rpc/term"
)

// Stopping tells which application a node waits for that is stopping (init:stop/0), and in which functions, innermost
// first. application_controller ends one application after another, and monitors the master of the one that it waits
// for (application_controller:terminate/2); it answers no calls meanwhile, but rex and the table ac_tab do.
func (n *Node) Stopping(ctx context.Context) (application, where string, err error) {
	master, err := n.awaitedMaster(ctx)
	if err != nil {
		return "", "", err
	}
	if application, err = n.masterOf(ctx, master); err != nil {
		return "", "", err
	}
	links, err := n.processInfo(ctx, master, "links")
	if err != nil {
		return "", "", err
	}
	list, _ := links.(term.List)
	for _, child := range list {
		if stack, err := n.processInfo(ctx, child, "current_stacktrace"); err == nil {
			where = functions(stack) // of the process that runs Mod:stop/1 (application_master:loop_it/4)
		}
	}
	return application, where, nil
}

func (n *Node) awaitedMaster(ctx context.Context) (term.Term, error) {
	controller, err := n.Call(ctx, "erlang", "whereis", term.Atom("application_controller"))
	if err != nil {
		return nil, err
	}
	monitors, err := n.processInfo(ctx, controller, "monitors")
	if err != nil {
		return nil, err
	}
	list, _ := monitors.(term.List)
	for _, m := range list {
		if pair, ok := m.(term.Tuple); ok && len(pair) == 2 && pair[0] == term.Term(term.Atom("process")) {
			return pair[1], nil
		}
	}
	return nil, errors.New("no application is being stopped")
}

func (n *Node) masterOf(ctx context.Context, master term.Term) (string, error) {
	pattern := term.Tuple{term.Tuple{term.Atom("application_master"), term.Atom("$1")}, master}
	answer, err := n.Call(ctx, "ets", "match", term.Atom("ac_tab"), pattern)
	if err != nil {
		return "", err
	}
	found, _ := answer.(term.List)
	if len(found) != 1 {
		return "", unexpected(answer)
	}
	name, _ := found[0].(term.List)
	if len(name) != 1 {
		return "", unexpected(answer)
	}
	return words(name[0]), nil
}

// processInfo is one item of erlang:process_info/2.
func (n *Node) processInfo(ctx context.Context, pid term.Term, item string) (term.Term, error) {
	answer, err := n.Call(ctx, "erlang", "process_info", pid, term.Atom(item))
	if err != nil {
		return nil, err
	}
	if pair, ok := answer.(term.Tuple); ok && len(pair) == 2 {
		return pair[1], nil
	}
	return nil, unexpected(answer)
}

// functions are those of a stack trace, [{M, F, Arity, Location}], in one line.
func functions(stack term.Term) string {
	list, _ := stack.(term.List)
	var names []string
	for _, frame := range list {
		if f, ok := frame.(term.Tuple); ok && len(f) == 4 {
			names = append(names, words(f[0])+":"+words(f[1])+"/"+term.Format(f[2]))
		}
	}
	return strings.Join(slices.Compact(names), " < ")
}
