package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"theseus/agent/family"
	"theseus/rpc/term"
	"theseus/volume"
)

// configure resolves what a release's configuration leaves open, with the node's environment, which it returns, and puts it
// to where the boot and release_handler read it: before each launch, and before each installation. release_handler takes a
// configuration that it cannot read for an empty one, and resets the environment of every application
// (release_handler_1:eval_script/5); so nothing is installed or launched that does not parse.
func (k *keeper) configure(ctx context.Context, version string) (environ []string, err error) {
	r := k.volume.State().Releases[version]
	release := familyRelease(k.volume, r)
	if release.Brought, err = k.volume.BringsConfig(version); err != nil {
		return nil, err
	}
	kind := family.Of(release, family.Host{Init: k.init, Dir: k.config.RunDir, Nofile: k.config.Nofile})
	environ, err = kind.Environ(ctx, release, k.environ)
	if err != nil {
		return nil, err
	}
	resolved, err := kind.Resolve(ctx, release, environ)
	if err != nil {
		return nil, err
	}
	unset := ""
	if len(resolved.Unset) > 0 {
		unset = strings.Join(resolved.Unset, ", ") + " had no value in the node's environment"
	}
	files := make([]volume.Configured, 0, len(resolved.Files))
	for _, f := range resolved.Files {
		if err := checkResolved(f, unset); err != nil {
			return nil, err
		}
		files = append(files, volume.Configured(f))
	}
	if err := k.volume.Configure(version, files); err != nil {
		return nil, err
	}
	if unset != "" {
		k.journal.note("config.unset", fmt.Sprintf("%s %s: %s, and was taken for empty", r.Name, version, unset),
			map[string]any{"version": version, "unset": resolved.Unset})
	}
	return environ, nil
}

// checkResolved says where a configuration is wrong, and nothing of what stands there: it holds secrets, and this is for the log, the
// history and whoever asks.
func checkResolved(f family.File, unset string) error {
	if f.Name != "sys.config" {
		return nil
	}
	err := volume.CheckConfig(f.Content)
	if err == nil {
		return nil
	}
	where := "is no list of {Application, Parameters}"
	if syntax, is := errors.AsType[*term.SyntaxError](err); is {
		where = fmt.Sprintf("cannot be read: line %d", syntax.Line)
	}
	if unset != "" {
		return fmt.Errorf("its sys.config, filled in, %s: %s", where, unset)
	}
	return fmt.Errorf("its sys.config, filled in, %s", where)
}

// Configure is configure for an installation into the node that runs.
func (k *keeper) Configure(ctx context.Context, version string) error {
	_, err := k.configure(ctx, version)
	return err
}
