package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
	"theseus/integration/terminal"
)

// visitor is a person at a shell of the node.
type visitor struct {
	*terminal.Terminal
	cmd *exec.Cmd
}

// visit opens a shell of the node in a terminal of its own.
func visit(s *ship.Ship, options ...string) visitor {
	s.T.Helper()
	c := terminal.Open(s.T)
	args := append(append([]string{"exec", "-it"}, options...), s.ID, "agent", "remote")
	v := visitor{c, c.Start(exec.Command("docker", args...))}
	v.Shows("(" + s.Status().Node.Name + ")1> ")
	return v
}

// leaves leaves the shell as its first line says.
func (v visitor) leaves(s *ship.Ship) {
	s.T.Helper()
	v.Types(terminal.CtrlG)
	v.Shows("--> ")
	v.Types("q" + terminal.Enter)
	if err := v.cmd.Wait(); err != nil {
		s.T.Errorf("the shell ended with %v; it shows %q", err, v.All())
	}
}

func TestAShellOfTheNodeIsLeftAndTheNodeRunsOn(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		node := s.Status().Node
		for _, options := range [][]string{{}, {"-u", "0"}, {"-e", "TERM=a-kind-that-nobody-has"}, {"-e", "TERM="}} {
			v := visit(s, options...)
			v.Types("20 + 1.\r")
			v.Shows("\n21\r\n")
			v.Shows("2> ")
			v.Types(terminal.Up)
			v.Shows("20 + 1.")
			v.Types(terminal.Enter)
			v.Shows("\n21\r\n")
			v.Shows("3> ")
			v.Types("lists:revers" + terminal.Tab)
			v.Shows("reverse(")
			v.Types("[a, b]).\r")
			v.Shows("[b,a]")
			v.Shows("4> ")
			v.Types("node(self()).\r")
			v.Shows("'demo@127.0.0.1'")
			v.Shows("5> ")
			v.Types("io:put_chars(\"sle\" \"eps\"), timer:sleep(infinity).\r")
			v.Shows("sleeps") // what is typed shows before it is evaluated
			v.Types(terminal.CtrlC)
			v.Shows("killed")
			v.Shows("6> ")
			v.Types(terminal.CtrlD)
			v.Shows("\a")
			v.Types(terminal.CtrlC) // at which the terminal forgets what was typed
			v.Shows("killed")
			v.Shows("6> ")
			v.Types("7 * 6.\r")
			v.Shows("\n42\r\n")
			v.leaves(s)
			s.Serves(images.Seed)
			if now := s.Status().Node; now.PID != node.PID {
				t.Fatalf("the node was restarted: %+v", now)
			}
		}
		noShellIsLeft(s)
		s.Must(s.Await(t.Context(), "the node without them", ship.Patience, func(context.Context) error {
			if hidden := s.RPC("erlang", "nodes", "[hidden]"); strings.Contains(hidden, "remote-") {
				return fmt.Errorf("it is still connected to %s", hidden)
			}
			return nil
		}))
	})
}

// noShellIsLeft waits until no home of a shell is left, and no process.
func noShellIsLeft(s *ship.Ship) {
	s.T.Helper()
	showsNothing(s, "ls -d /dev/shm/agent-remote-* /tmp/agent-remote-* 2>/dev/null; "+running)
}

// noShellRuns waits for the end of their processes. An agent that is killed leaves a home.
func noShellRuns(s *ship.Ship) {
	s.T.Helper()
	showsNothing(s, running)
}

const running = `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline | grep -e ' -[r]emsh ' -e '^agent remote $'; done; true`

func showsNothing(s *ship.Ship, script string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "nothing of a shell", ship.Patience, func(ctx context.Context) error {
		left, err := s.Output(ctx, "sh", "-c", script)
		if err == nil && left != "" {
			err = fmt.Errorf("there is %s", left)
		}
		return err
	}))
}

// TestAShellThatLosesItsTerminalIsNotTheEndOfTheNode: a terminal that is gone is an end of the input, of which the node must
// not hear; nor is the death of what holds it.
func TestAShellThatLosesItsTerminalIsNotTheEndOfTheNode(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		node := s.Status().Node
		for _, c := range []struct{ about, end string }{
			{"the agent is killed", `kill -9 $(agents)`},
			{"the agent is told", `kill -TERM $(agents)`},
			{"the agent is hung up", `kill -HUP $(agents)`},
			{"the shell is hung up", `kill -HUP $(shells)`},
			{"the shell is killed", `kill -9 $(shells)`},
			{"the shell is told", `kill -TERM $(shells)`},
			{"the terminal is closed", ""},
		} {
			noShellRuns(s) // the one before, which must not end while the next is looked for
			v := visit(s)
			v.Types("1 + 1.\r")
			v.Shows("\n2\r\n")
			if c.end == "" {
				_ = v.cmd.Process.Signal(unix.SIGKILL)
			} else {
				_, err := s.Output(t.Context(), "sh", "-c", `
agents() { for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$p/cmdline)" = "agent remote " ] && echo ${p#/proc/}; done; }
shells() { for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline | grep -qe ' -[r]emsh ' && echo ${p#/proc/}; done; }
`+c.end)
				s.Must(err)
			}
			_ = v.cmd.Wait()
			s.Serves(images.Seed)
			if now := s.Status().Node; now.PID != node.PID {
				t.Errorf("%s: the node was restarted", c.about)
			}
		}
	})
}

func TestAShellsCookieIsSeenByNobody(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		v := visit(s)
		keepsItsCookie(s)
		cookie := strings.Trim(s.RPC("erlang", "get_cookie"), "'")
		environ, err := s.Output(t.Context(), "sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'")
		s.Must(err)
		if strings.Contains(environ, cookie) {
			t.Error("the cookie is in an environment")
		}
		homes, err := s.Output(t.Context(), "sh", "-c", "stat -c '%a %n' /dev/shm/agent-remote-* /dev/shm/agent-remote-*/.erlang.cookie")
		s.Must(err)
		for line := range strings.Lines(homes) {
			if mode, _, _ := strings.Cut(line, " "); mode != "700" && mode != "400" {
				t.Errorf("others may read it: %s", line)
			}
		}
		v.leaves(s)
		noShellIsLeft(s)
	})
}

// A result of 100 MB takes no more of PID 1's memory than a small one.
func TestALargeResultGoesThroughPID1(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		var samples []ship.Sample
		for range 6 {
			var out counter
			status, err := s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "rpc", "--timeout", "5m", "binary", "copy", `[<<"x">>, 104857600]`}, Stdout: &out})
			s.Must(err)
			if want := len(`<<"`) + 100<<20 + len("\">>\n"); status != 0 || int(out) != want {
				t.Fatalf("exit status %d, %d bytes and not %d", status, int(out), want)
			}
			samples = append(samples, s.Sample())
		}
		ship.StaysFlat(t, samples)
		for _, sample := range samples {
			if sample.RSS > 48<<10 {
				t.Errorf("the agent has %d KiB", sample.RSS)
			}
		}
		t.Logf("%+v", samples[len(samples)-1])
	})
}

// counter counts bytes.
type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

func TestExpressionsAreEvaluatedInAContainer(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		source := "io:format(\"here~n\").\nA = 1.\n{A + 1, [<<\"x\">>]}.\n"
		if got := s.Ends(s.Agent(strings.NewReader(source), "eval", "-"), 0).Stdout; got != "here\n{2,[<<\"x\">>]}\n" {
			t.Errorf("got %q", got)
		}
		for source, want := range map[string]string{
			"a = b.":         "agent: exception error: no match of right hand side value b",
			"foo(.":          "agent: cannot evaluate it: line 1: syntax error before: ",
			"ok. X.":         "agent: cannot evaluate it: line 1: variable 'X' is unbound",
			"exit(enough).":  "agent: exception exit: enough",
			"lists:sum(a).":  "agent: exception error: no function clause matching lists:sum(a",
			"nobody:knows()": "agent: exception error: undefined function nobody:knows/0",
		} {
			if got := s.Ends(s.Agent(nil, "eval", source), 1); !strings.HasPrefix(got.Stderr, want) || strings.Contains(got.Stderr, "erl_eval") {
				t.Errorf("%s: %s", source, got.Stderr)
			}
		}
		var stderr bytes.Buffer
		status, err := s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "remote"}, Stderr: &stderr})
		if err != nil || status != 1 || !strings.Contains(stderr.String(), "no terminal") {
			t.Errorf("without a terminal: exit status %d, %s", status, stderr.String())
		}
		s.Serves(images.Seed)
	})
}
