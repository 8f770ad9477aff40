package rpc

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"theseus/rpc/term"
)

// App is an application and the version of it that is loaded or runs.
type App struct{ Name, Version string }

// InitStatus is init:get_status/0: internal is starting, started or stopping, provided what the boot script
// has last said of its progress. On OTP 25 and 27 a node says started for a moment even when one of its
// applications has failed.
func (n *Node) InitStatus(ctx context.Context) (internal, provided string, err error) {
	answer, err := n.Call(ctx, "init", "get_status")
	if err != nil {
		return "", "", err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) != 2 {
		return "", "", unexpected(answer)
	}
	return words(t[0]), words(t[1]), nil
}

// Applications lists those that run (application:which_applications/1, which waits while one starts).
func (n *Node) Applications(ctx context.Context) ([]App, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	return n.apps(ctx, "which_applications", max(1, time.Until(deadline).Milliseconds()))
}

// LoadedVersions lists the applications that are loaded, running or not (application:loaded_applications/0).
func (n *Node) LoadedVersions(ctx context.Context) ([]App, error) {
	return n.apps(ctx, "loaded_applications")
}

func (n *Node) apps(ctx context.Context, function string, args ...term.Term) ([]App, error) {
	answer, err := n.Call(ctx, "application", function, args...)
	if err != nil {
		return nil, err
	}
	return rows(answer, 3, func(row term.Tuple) App {
		return App{Name: words(row[0]), Version: words(row[2])}
	})
}

// ModifiedModules tells which of the modules are loaded, and are not what their file on disk is
// (code:module_status/1): after an upgrade, those that its relup forgot.
func (n *Node) ModifiedModules(ctx context.Context, modules []string) ([]string, error) {
	asked := term.List{}
	for _, m := range modules {
		asked = append(asked, term.Atom(m))
	}
	reply, err := n.Call(ctx, "code", "module_status", asked)
	if err != nil {
		return nil, err
	}
	list, _ := reply.(term.List)
	if len(list) != len(modules) {
		return nil, fmt.Errorf("cannot read code:module_status: %s", term.Format(reply))
	}
	var modified []string
	for i, status := range list {
		if pair, ok := status.(term.Tuple); ok && len(pair) == 2 && pair[1] == term.Atom("modified") {
			modified = append(modified, modules[i])
		}
	}
	return modified, nil
}

// HiddenNodes lists the hidden nodes that the node is connected to, us among them.
func (n *Node) HiddenNodes(ctx context.Context) ([]string, error) {
	return n.names(ctx, "erlang", "nodes", term.Atom("hidden"))
}

func (n *Node) names(ctx context.Context, module, function string, args ...term.Term) ([]string, error) {
	answer, err := n.Call(ctx, module, function, args...)
	if err != nil {
		return nil, err
	}
	list, ok := answer.(term.List)
	if !ok {
		return nil, unexpected(answer)
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, words(e))
	}
	return names, nil
}

// ScriptID is the name and version of the release that was booted (init:script_id/0); an upgrade does not change it.
func (n *Node) ScriptID(ctx context.Context) (name, version string, err error) {
	answer, err := n.Call(ctx, "init", "script_id")
	if err != nil {
		return "", "", err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) != 2 {
		return "", "", unexpected(answer)
	}
	return words(t[0]), words(t[1]), nil
}

// OSPid is the emulator's process id, as it sees it itself (os:getpid/0).
func (n *Node) OSPid(ctx context.Context) (int, error) {
	answer, err := n.Call(ctx, "os", "getpid")
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(words(answer))
	if err != nil {
		return 0, fmt.Errorf("cannot read the node's process id: %w", err)
	}
	return pid, nil
}

// Memory is what the emulator has allocated, in bytes (erlang:memory/1 of total).
func (n *Node) Memory(ctx context.Context) (int64, error) {
	return n.number(ctx, "memory", "total")
}

// ProcessCount is the number of Erlang processes.
func (n *Node) ProcessCount(ctx context.Context) (int64, error) {
	return n.number(ctx, "system_info", "process_count")
}

func (n *Node) number(ctx context.Context, function, item string) (int64, error) {
	answer, err := n.Call(ctx, "erlang", function, term.Atom(item))
	if err != nil {
		return 0, err
	}
	i, ok := term.AsInt(answer)
	if !ok {
		return 0, unexpected(answer)
	}
	return i, nil
}

// Stop has the node take its applications down in order and end, with exit status 0 (init:stop/0). It returns
// as soon as that has begun.
func (n *Node) Stop(ctx context.Context) error {
	_, err := n.Call(ctx, "init", "stop")
	return err
}
