package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent/api"
)

func (c *cli) remoteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remote",
		Short: "Open a shell of the node in a terminal",
		Long: `Remote opens Erlang's own shell of the node, IEx where mix made the release, with its line editing, history and
completion. It is a small node of its own beside the one that runs: Ctrl-C ends what is being evaluated, Ctrl-G and then
q leaves the shell, and the node runs on. The functions q(), halt() and init:stop() are the node's: they end it.

  docker exec -it CONTAINER agent remote

It needs a terminal. Without one, eval takes expressions from standard input.

` + exitHelp,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			remote, err := c.client().Remote(cmd.Context())
			if err != nil {
				return err
			}
			if !isTerminal(c.stdin) || !isTerminal(c.stdout) {
				return &api.Error{
					Code: codeNoTerminal, Message: "cannot open a shell: standard input and output are no terminal",
					Hint: "docker exec -it gives one; eval needs none",
				}
			}
			return c.shell(remote)
		},
	}
}

// codeNoTerminal is the command's own.
const codeNoTerminal = "no-terminal"

// shell runs the shell on our terminal until it ends. Its node is told the cookie in a file of a home of its own.
func (c *cli) shell(r api.Remote) error {
	home, err := privateHome(r)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(home) }() // of a tmpfs; the shell has ended
	defer keepTerminal()()
	capFiles()
	cmd := shellCommand(r, home, c.env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, c.stderr
	ends := map[string]string{api.Erlang: "q() and halt()", api.Elixir: "System.stop() and System.halt()"}[r.Lang]
	fmt.Fprintf(c.stderr, "agent: a shell of %s; Ctrl-G and then q leaves it, %s end the node\n", r.Node, ends)
	err = attend(cmd)
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return fmt.Errorf("cannot open a shell: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 { // -1: a signal has ended it
		c.status = exitError
	}
	return nil
}

// keepTerminal remembers how the terminal is, for who finds it as a shell that was killed has left it.
func keepTerminal() (restore func()) {
	state, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	return func() {
		if err == nil {
			_ = unix.IoctlSetTermios(int(os.Stdin.Fd()), unix.TCSETS, state)
		}
	}
}

// maxFiles is the shell's soft limit: Erlang takes memory for as many as are allowed.
const maxFiles = 65536

func capFiles() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur > maxFiles {
		limit.Cur = maxFiles
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// attend runs a command that has the terminal. Signals that the terminal sends are the command's; one that is to end us ends
// it first, so that the home is removed. Should we be killed, the kernel kills it as well: what a terminal that is gone leaves
// to read must not be taken for the end of the node's input.
func attend(cmd *exec.Cmd) error {
	runtime.LockOSThread() // of which the death is the signal
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == unix.SIGTERM || sig == unix.SIGHUP {
					_ = cmd.Process.Kill()
				}
			case <-ended:
				return
			}
		}
	}()
	defer close(ended)
	return cmd.Wait()
}

// inetrc is a file in the home. The host in the node's name may be another address than where the node listens.
const inetrc = "inetrc"

// privateHome has the cookie where a node looks for it. It is in memory where that can be, and not on a volume.
func privateHome(r api.Remote) (string, error) {
	var errs []error
	_, host, _ := strings.Cut(r.Node, "@")
	hosts := fmt.Sprintf("{host, %s, [%q]}.\n{lookup, [file, native]}.\n", tuple(r.Host), host)
	for _, dir := range []string{"/dev/shm", os.TempDir(), "/run"} {
		home, err := os.MkdirTemp(dir, "agent-remote-")
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = errors.Join(
			os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(r.Cookie), 0o400),
			os.WriteFile(filepath.Join(home, inetrc), []byte(hosts), 0o400),
		)
		if err == nil {
			return home, nil
		}
		_ = os.RemoveAll(home)
		errs = append(errs, err)
	}
	return "", fmt.Errorf("cannot make a home for the shell: %w; mount a tmpfs (docker run --tmpfs /tmp)", errors.Join(errs...))
}

// tuple is how Erlang writes an address.
func tuple(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() {
		return "{" + strings.ReplaceAll(host, ".", ",") + "}"
	}
	var words []string
	for pair := range slices.Chunk(ip.AsSlice(), 2) {
		words = append(words, strconv.Itoa(int(pair[0])<<8|int(pair[1])))
	}
	return "{" + strings.Join(words, ",") + "}"
}

// shellCommand is erlexec itself, as for the node, or the iex of a release that mix made, which knows how its Elixir is started.
func shellCommand(r api.Remote, home string, environ []string) *exec.Cmd {
	name, host, _ := strings.Cut(r.Node, "@")
	name = "remote-" + strings.ToLower(rand.Text()[:10]) + "-" + name + "@" + host
	connect := []string{"+S", "1:1", "-start_epmd", "false", "-erl_epmd_port", strconv.Itoa(r.Port), "-dist_listen", "false", "+Bc"}
	connect = append(connect, r.Dist...)
	set := map[string]string{
		"ROOTDIR": r.Root, "BINDIR": r.Bindir, "EMU": "beam", "PROGNAME": "erl", "HOME": home,
		"TERM": terminal(environ), "ERL_CRASH_DUMP_SECONDS": "0", "ERL_INETRC": filepath.Join(home, inetrc),
	}
	var cmd *exec.Cmd
	if r.Lang == api.Elixir {
		cmd = exec.Command(filepath.Join(r.Release, "iex"), "--hidden", flag("--", r), name, "--boot", r.Boot, //nolint:noctx // it ends with its terminal
			"--boot-var", "RELEASE_LIB", r.Lib, "--erl", strings.Join(connect, " "), "--remsh", r.Node)
	} else {
		cmd = exec.Command(filepath.Join(r.Bindir, "erlexec"), append(connect, "-boot", r.Boot, "-boot_var", "SYSTEM_LIB_DIR", r.Lib, //nolint:noctx // as above
			"-boot_var", "ERTS_LIB_DIR", r.Lib, "-boot_var", "RELEASE_LIB", r.Lib, "-hidden", flag("-", r), name, "-remsh", r.Node)...)
	}
	cmd.Dir = filepath.Dir(r.Lib) // the node's own: what its -ssl_dist_optfile names may be relative
	cmd.Env = slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, replaced := set[name]
		return replaced || strings.HasPrefix(name, "ERL_") || name == "ELIXIR_ERL_OPTIONS" // which are for the node
	})
	for name, value := range set {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

func flag(dashes string, r api.Remote) string {
	if r.Short {
		return dashes + "sname"
	}
	return dashes + "name"
}

// terminal is a kind of terminal that the image knows. Of one that it does not, Erlang makes a typewriter without keys, or a
// shell that is not the node's.
func terminal(environ []string) string {
	kind, dirs := "", []string{"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/usr/local/share/terminfo"}
	for _, kv := range environ {
		switch name, value, _ := strings.Cut(kv, "="); name {
		case "TERM":
			kind = value
		case "TERMINFO":
			dirs = append(dirs, value)
		}
	}
	for _, dir := range dirs {
		for _, known := range []string{kind[:min(1, len(kind))], fmt.Sprintf("%x", cmp.Or(kind, "x")[0])} {
			if _, err := os.Stat(filepath.Join(dir, known, kind)); err == nil && kind != "" && kind != "dumb" {
				return kind
			}
		}
	}
	return "xterm"
}
