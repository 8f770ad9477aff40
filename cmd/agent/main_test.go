package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"theseus/agent/heart"
	"theseus/integration/need"
)

// patience is for a fact to become true on a machine that has much else to do.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"agent": main, heart.Program: main, "measured": measured})
}

// words are what the scripts have beside testscript's own.
func words() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": await, "unread": unread, "manager": manager, "newkey": newKey, "sign": sign, "scrape": scrape}
}

// manager is a service manager that listens on a socket and writes what it hears into a file, one line each, as long
// as the script runs: manager SOCKET FILE. A file that grew has what was sent before whatever the script saw.
func manager(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: manager SOCKET FILE")
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unixgram"})
	ts.Check(err)
	file, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	var listening sync.WaitGroup
	listening.Go(func() {
		message := make([]byte, 4096)
		for n, err := socket.Read(message); err == nil; n, err = socket.Read(message) {
			fmt.Fprintf(file, "%s\n", message[:n])
		}
	})
	ts.Defer(func() {
		socket.Close()
		listening.Wait()
		file.Close()
	})
}

// unread is exits for a command whose standard error is full, and read by nobody: unread STATUS COMMAND ARGS…
func unread(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: unread STATUS COMMAND ARGS…")
	}
	reader, writer, err := os.Pipe()
	ts.Check(err)
	defer reader.Close()
	defer writer.Close()
	size, err := unix.FcntlInt(writer.Fd(), unix.F_GETPIPE_SZ, 0)
	ts.Check(err)
	_, err = writer.Write(make([]byte, size))
	ts.Check(err)
	full, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", writer.Fd()), os.O_WRONLY, 0) // its writes wait
	ts.Check(err)
	defer full.Close()
	cmd := exec.Command("env", args[1:]...)
	cmd.Stderr, cmd.Dir = full, ts.Getenv("WORK")
	for _, name := range []string{"PATH", "AGENT_RUN_DIR", "AGENT_VOLUME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if got := strconv.Itoa(status(cmd.Wait())); got != args[0] {
		ts.Fatalf("exit status %s, not %s", got, args[0])
	}
}

// exits runs a command that must end with this status: exits STATUS COMMAND ARGS…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND ARGS…")
	}
	if got := strconv.Itoa(status(ts.Exec(args[1], args[2:]...))); got != args[0] {
		ts.Fatalf("exit status %s, not %s", got, args[0])
	}
}

func status(err error) int {
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &ended):
		return ended.ExitCode()
	}
	return -1
}

// await runs a command again and again until it succeeds and its output matches: await PATTERN COMMAND ARGS…
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await PATTERN COMMAND ARGS…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-again.C {
		if ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%s did not come to %q within %s", strings.Join(args[1:], " "), args[0], patience)
}

func TestTheCommandDoesWhatItsManualSays(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/manual", Cmds: words(), RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("AGENT_RUN_DIR", env.WorkDir)
			return nil
		},
	})
}

// TestANodeIsRunAndUpgraded needs Erlang: the agent is not PID 1 here, everything else is as in a container.
func TestANodeIsRunAndUpgraded(t *testing.T) {
	packages := makePackages(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/node", Cmds: words(), RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"AGENT_VOLUME": "volume", "AGENT_SEED": "cnt-1.0.0.tar.gz", "AGENT_RUN_DIR": "run", "HOME": "home",
			} {
				env.Setenv(name, filepath.Join(env.WorkDir, value))
			}
			env.Setenv("AGENT_SETTLE", "100ms")
			return os.CopyFS(env.WorkDir, os.DirFS(packages))
		},
	})
}

// makePackages has Erlang make cnt 1.0.0, 1.1.0 and 1.2.0, the last of which cannot change its state.
func makePackages(t *testing.T) string {
	t.Helper()
	need.Tool(t, "erl")
	out := t.TempDir()
	source, err := filepath.Abs("testdata/release")
	if err != nil {
		t.Fatal(err)
	}
	make := exec.CommandContext(t.Context(), "erl", "-noinput", "-boot", "no_dot_erlang", "-eval",
		`{ok, mk, Mk} = compile:file("`+source+`/mk", [binary]), {module, mk} = code:load_binary(mk, "mk", Mk), mk:packages("`+source+`", "."), halt().`)
	make.Dir = out
	if text, err := make.CombinedOutput(); err != nil {
		t.Fatalf("cannot make the packages: %v\n%s", err, text)
	}
	return out
}
