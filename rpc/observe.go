package rpc

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"theseus/rpc/term"
)

// App is an application and the version of it that runs.
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
	answer, err := n.Call(ctx, "application", "which_applications", max(1, time.Until(deadline).Milliseconds()))
	if err != nil {
		return nil, err
	}
	return rows(answer, 3, func(row term.Tuple) App {
		return App{Name: words(row[0]), Version: words(row[2])}
	})
}

// modifiedModules tells which of the modules are loaded, and are not what their file on disk is
// (code:module_status/1).
func (n *Node) modifiedModules(ctx context.Context, modules []string) ([]string, error) {
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

// UseConsolidated makes dir the one directory of consolidated protocols in the code path, where mix has one in front of all
// others, and loads what is another there than it was. A relup knows nothing of that directory: the new release's protocols
// would be those of the old one, without its new implementations. dir may be missing. modules are those in the
// directories, old and new.
func (n *Node) UseConsolidated(ctx context.Context, dir string, modules []string) error {
	answer, err := n.Call(ctx, "code", "get_path")
	if err != nil {
		return err
	}
	paths, ok := answer.(term.List)
	if !ok {
		return unexpected(answer)
	}
	// First the new one: in between no module is loaded from where protocols are not consolidated.
	if _, err := n.Call(ctx, "code", "add_patha", chars(dir)); err != nil {
		return err
	}
	for _, p := range paths {
		if old := path.Clean(words(p)); old != dir && path.Base(old) == path.Base(dir) && path.Dir(path.Dir(old)) == path.Dir(path.Dir(dir)) {
			if _, err := n.Call(ctx, "code", "del_path", p); err != nil {
				return err
			}
		}
	}
	changed, err := n.modifiedModules(ctx, modules)
	for _, m := range changed {
		if err == nil {
			err = n.load(ctx, m)
		}
	}
	return err
}

// load replaces the code of a module. Code before the one that runs must be unused: nobody is killed for it.
func (n *Node) load(ctx context.Context, module string) error {
	if unused, err := n.Call(ctx, "code", "soft_purge", term.Atom(module)); err != nil || unused != term.Atom("true") {
		return errors.Join(fmt.Errorf("cannot load %s: a process runs an older version of it", module), err)
	}
	answer, err := n.Call(ctx, "code", "load_file", term.Atom(module))
	if err != nil {
		return err
	}
	if loaded, ok := answer.(term.Tuple); !ok || len(loaded) != 2 || loaded[0] != term.Atom("module") {
		return fmt.Errorf("cannot load %s: %s", module, term.Format(answer))
	}
	return nil
}

// Stop has the node take its applications down in order and end, with exit status 0 (init:stop/0). It returns
// as soon as that has begun.
func (n *Node) Stop(ctx context.Context) error {
	_, err := n.Call(ctx, "init", "stop")
	return err
}
