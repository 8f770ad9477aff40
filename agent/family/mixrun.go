package family

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"theseus/signals"
)

// runTimeout is for a program of a release that is run before its node.
const runTimeout = 60 * time.Second

// castle is what Forecastle appends to env.sh. It prepares a launch that is none of the agent's: a heart that does nothing, a
// version out of files that it takes away, records of OTP that the agent derives.
var castle = regexp.MustCompile(`(?ms)^# --- Forecastle: Castle integration.*?^# --- Forecastle: end Castle integration ---$`)

// sourcing is what is done to env.sh, as the launcher does it: before its defaults, stopping at the first error. Only what is
// exported is in the answer, and of the launcher's own variables what it would export. What env.sh prints goes to the log.
const sourcing = `set -e
exec 3>&1 >&2
REL_VSN_DIR=$RELEASE_ROOT/releases/$RELEASE_VSN
. "$0"
export RELEASE_COOKIE RELEASE_MODE RELEASE_NODE RELEASE_TMP RELEASE_VM_ARGS RELEASE_REMOTE_VM_ARGS RELEASE_DISTRIBUTION \
	RELEASE_BOOT_SCRIPT RELEASE_BOOT_SCRIPT_CLEAN RELEASE_SYS_CONFIG
exec cat /proc/self/environ >&3`

// source runs env.sh in a shell and returns the environment behind it. One that holds nothing but comments, as mix makes it,
// needs no shell.
func (m mix) source(ctx context.Context, r Release, environ []string) ([]string, error) {
	text, _, err := r.read("env.sh")
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	script, own := filepath.Join(r.Dir, "env.sh"), castle.ReplaceAll(text, nil)
	if !hasCommands(own) {
		return environ, nil
	}
	dir, remove, err := m.host.scratch()
	if err != nil {
		return nil, fmt.Errorf("cannot be run: %w", err)
	}
	defer remove()
	if len(own) != len(text) {
		script = filepath.Join(dir, "env.sh")
		if err := os.WriteFile(script, own, 0o600); err != nil {
			return nil, fmt.Errorf("cannot be run: %w", err)
		}
	}
	out, err := os.OpenFile(filepath.Join(dir, "environ"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot be run: %w", err)
	}
	defer out.Close()
	err = m.host.run(ctx, signals.Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", sourcing, script, "start"}, Env: environ, Dir: r.Root, Stdout: out, Stderr: os.Stderr,
	})
	if err != nil {
		return nil, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("left an environment that cannot be read: %w", err)
	}
	return readEnviron(out)
}

func hasCommands(script []byte) bool {
	for line := range bytes.Lines(script) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// readEnviron reads what proc(5) calls /proc/pid/environ. The shell's own variables say nothing of the node, and the agent's mark of
// what is to end with the shell is none of it.
func readEnviron(from io.Reader) ([]string, error) {
	text, err := io.ReadAll(from)
	if err != nil || len(text) == 0 {
		return nil, errors.Join(errors.New("left no environment"), err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "_" || name == "SHLVL" || name == "OLDPWD" || name == signals.GuestVariable
	}), nil
}

// run runs a program to its end. The error continues a sentence that names it; what it printed is in the log.
func (h Host) run(ctx context.Context, command signals.Command) error {
	command.NofileSoft = h.Nofile
	within, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	exit, err := h.Init.Finish(within, command)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("did not end within %s", runTimeout)
	case err != nil:
		return fmt.Errorf("cannot be run: %w", err)
	case exit.Status() != 0:
		return fmt.Errorf("ended with status %d: the log has what it printed", exit.Status())
	}
	return nil
}

//go:embed resolve.erl
var resolving string

// Resolve runs the release's own config providers, in a VM of the release's own code that nothing else is started in, and that
// is gone behind it.
func (m mix) Resolve(ctx context.Context, r Release, environ []string) (Resolved, error) {
	base := Lookup(environ, "RELEASE_SYS_CONFIG") + ".config"
	if own := filepath.Join(r.Dir, pristine); base == filepath.Join(r.Dir, "sys.config") && exists(own) {
		base = own
	}
	text, err := os.ReadFile(base)
	if err != nil {
		return Resolved{}, fmt.Errorf("cannot read its configuration: %w", err)
	}
	if bytes.Contains(text, []byte("config_provider_init")) {
		text, err = m.provide(ctx, r, environ, base)
	}
	if err != nil {
		return Resolved{}, err
	}
	return Resolved{Files: []File{{Name: "sys.config", Content: text}}}, nil
}

const pristine = "sys.config.pristine" // package volume has put it there

// provide is Resolve for a configuration that has providers.
func (m mix) provide(ctx context.Context, r Release, environ []string, base string) ([]byte, error) {
	dir, remove, err := m.host.scratch()
	if err != nil {
		return nil, fmt.Errorf("cannot resolve its configuration: %w", err)
	}
	defer remove()
	bindir, lib, out := filepath.Join(r.Root, "erts-"+r.ERTS, "bin"), filepath.Join(r.Root, "lib"), filepath.Join(dir, "sys.config")
	err = m.host.run(ctx, signals.Command{
		Path: filepath.Join(bindir, "erlexec"),
		Args: []string{
			"erlexec", "-noinput", "-boot", filepath.Join(r.Dir, Lookup(environ, "RELEASE_BOOT_SCRIPT_CLEAN")), "-boot_var", "RELEASE_LIB", lib,
			"+S", "1:1", "+sbwt", "none", "-eval", resolving, "-extra", base, out,
		},
		Env: with(withoutFlags(environ), map[string]string{
			"ROOTDIR": r.Root, "BINDIR": bindir, "EMU": "beam", "PROGNAME": "erl", "ERL_CRASH_DUMP": "/dev/null",
		}),
		Dir: r.Root, Stdout: os.Stderr, Stderr: os.Stderr,
	})
	if why, readErr := os.ReadFile(out + ".error"); err != nil && readErr == nil {
		err = errors.New(strings.Join(strings.Fields(string(why)), " ")) // an error is one line
	} else if err != nil {
		err = fmt.Errorf("the VM for it %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot resolve its configuration: %w", err)
	}
	return os.ReadFile(out)
}

// withoutFlags leaves out what erlexec would read as more arguments: a node's name, its heart.
func withoutFlags(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "ERL_") && strings.HasSuffix(name, "FLAGS")
	})
}
