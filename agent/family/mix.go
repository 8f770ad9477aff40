package family

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// mix is a release that mix release has made. What its launcher, bin/<name>, does for the command start is done here instead,
// since the node must be the agent's own child: env.sh is sourced, the launcher's defaults follow, and erlexec gets the
// arguments that the script elixir would give to it (Mix.Release, cli.eex).
type mix struct{ host Host }

// Environ is the environment of the launcher behind its defaults. The version is the one to boot, whatever the container says.
func (m mix) Environ(ctx context.Context, r Release, base []string) ([]string, error) {
	environ := with(base, map[string]string{
		"RELEASE_ROOT": r.Root, "RELEASE_VSN": r.Version, "RELEASE_COMMAND": "start",
		"RELEASE_NAME": cmp.Or(Lookup(base, "RELEASE_NAME"), r.Name), "RELEASE_PROG": cmp.Or(Lookup(base, "RELEASE_PROG"), r.Name),
	})
	environ, err := m.source(ctx, r, environ)
	if err != nil {
		return nil, fmt.Errorf("its env.sh %w", err)
	}
	cookie, _, err := r.read("COOKIE")
	if err != nil {
		return nil, fmt.Errorf("cannot read its cookie: %w", err)
	}
	set := map[string]string{}
	for name, fallback := range map[string]string{
		"RELEASE_COOKIE": strings.TrimRight(string(cookie), "\n"), "RELEASE_MODE": "embedded",
		"RELEASE_NODE": Lookup(environ, "RELEASE_NAME"), "RELEASE_TMP": filepath.Join(r.Root, "tmp"),
		"RELEASE_VM_ARGS": filepath.Join(r.Dir, "vm.args"), "RELEASE_REMOTE_VM_ARGS": filepath.Join(r.Dir, "remote.vm.args"),
		"RELEASE_DISTRIBUTION": "sname", "RELEASE_BOOT_SCRIPT": "start", "RELEASE_BOOT_SCRIPT_CLEAN": "start_clean",
		"RELEASE_SYS_CONFIG": filepath.Join(r.Dir, "sys"),
	} {
		set[name] = cmp.Or(Lookup(environ, name), fallback)
	}
	maps.DeleteFunc(set, func(_, value string) bool { return value == "" }) // a release without a cookie
	return with(environ, set), nil
}

// Launch is the command line of elixir --no-halt, but for the cookie, which no argument may show. Without a distribution of
// its own the node gets the agent's: on loopback, for the agent alone.
func (mix) Launch(r Release, environ []string) (Launch, error) {
	l := Launch{
		Boot: Lookup(environ, "RELEASE_BOOT_SCRIPT"), Mode: Lookup(environ, "RELEASE_MODE"),
		Before: append(strings.Fields(Lookup(environ, "ELIXIR_ERL_OPTIONS")), "-s", "elixir", "start_cli"),
		After:  []string{"-extra", "--no-halt"},
		Cookie: Lookup(environ, "RELEASE_COOKIE"),
	}
	if vmArgs := Lookup(environ, "RELEASE_VM_ARGS"); exists(vmArgs) {
		l.VMArgs = vmArgs
	}
	switch kind := Lookup(environ, "RELEASE_DISTRIBUTION"); kind {
	case "none":
	case "name", "sname":
		l.Name, l.Short = Lookup(environ, "RELEASE_NODE"), kind == "sname"
	default:
		return l, fmt.Errorf("RELEASE_DISTRIBUTION is %q, not sname, name or none", kind)
	}
	return l, nil
}

// launcher is what mix calls bin/<name>.
func (r Release) launcher() string { return filepath.Join(r.Dir, "bin", r.Name) }

// Command sources the release's own launcher under the name that it would have, from which it finds everything. Its rpc and
// remote start a node of their own: that one must listen nowhere, ask no epmd, find the node on loopback whatever its host is
// called, and take the cookie from a file: a second -setcookie makes Erlang ignore both (kernel: auth:init_cookie).
func (mix) Command(r Release, node Node) []byte {
	if !exists(r.launcher()) {
		return nil
	}
	kind := "name"
	if node.Short {
		kind = "sname"
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# The launcher of the release, for the node that the agent runs. The agent writes this anew for each boot and each upgrade.\n")
	b.WriteString(guard)
	for _, set := range [][2]string{
		{"RELEASE_VSN", r.Version},
		{"RELEASE_NODE", node.Name},
		{"RELEASE_DISTRIBUTION", kind},
		{"RELEASE_COOKIE", inFile},
		{"HOME", node.Home},
		{"ERL_ROOTDIR", r.Root},
		{"ERL_INETRC", node.InetRC},
	} {
		if set[1] != "" {
			fmt.Fprintf(&b, "export %s=%s\n", set[0], quote(set[1]))
		}
	}
	port := "" // without one epmd knows it
	if node.Port != "" {
		port = "-erl_epmd_port " + node.Port + " "
	}
	fmt.Fprintf(&b, "export ERL_AFLAGS=\"-setcookie %s -start_epmd false %s-dist_listen false $ERL_AFLAGS\"\n", inFile, port)
	fmt.Fprintf(&b, ". %s\n", quote(r.launcher()))
	return []byte(b.String())
}

// guard refuses what would harm: a second node, and a remote shell without a terminal, at the end of whose input Elixir
// halts the node (seen with 1.18 and 1.20).
const guard = `case $1 in
start | start_iex | daemon | daemon_iex)
	echo "ERROR: the agent starts the node: restart the container" >&2
	exit 1
	;;
remote)
	[ -t 0 ] || { echo "ERROR: remote needs a terminal: docker exec -it" >&2; exit 1; }
	;;
esac
`

const inFile = "in-a-file" // in the place of a cookie

// quote is a word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// scratch is a private directory for one use.
func (h Host) scratch() (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(h.Dir, scratchPrefix)
	return dir, func() { _ = os.RemoveAll(dir) }, err
}

const scratchPrefix = "resolve-"

// Clean removes what an agent that was killed has left in the directory of its Host: environments, which hold secrets.
func Clean(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, scratchPrefix+"*")) // only a bad pattern is an error
	for _, d := range left {
		_ = os.RemoveAll(d)
	}
}
