package pid1_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

func kill(s *ship.Ship, signal string) func() {
	return func() { s.Must(s.Kill(s.T.Context(), signal)) }
}

// endsWith fails the story unless the container ends like this after act.
func endsWith(s *ship.Ship, about string, want int, act func()) {
	s.T.Helper()
	act()
	got, err := s.Wait(s.T.Context())
	s.Must(err)
	if got != want {
		s.T.Errorf("%s: exit status %d, want %d\n%s", about, got, want, s.Logs(context.Background()))
	}
}

func logs(s *ship.Ship, want string) {
	s.T.Helper()
	if text := s.Logs(context.Background()); !strings.Contains(text, want) {
		s.T.Errorf("the log lacks %q:\n%s", want, text)
	}
}

func TestTermAndIntStopTheNodeInOrderHoweverManyThereAre(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for about, act := range map[string]func(*ship.Ship){
			"one INT":  func(s *ship.Ship) { kill(s, "INT")() },
			"one QUIT": func(s *ship.Ship) { kill(s, "QUIT")() },
			"ten TERM": func(s *ship.Ship) {
				for range 10 {
					_ = s.Kill(t.Context(), "TERM") // the last ones may come too late
				}
			},
		} {
			s := ship.Launch(t, set)
			endsWith(s, about, 0, func() { act(s) })
			if n := strings.Count(s.Logs(t.Context()), "stopping the node "); n != 1 {
				t.Errorf("%s: %d stops", about, n)
			}
		}
	})
}

func TestSignalsThatMeanNothingLeaveTheNodeUp(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		node := s.Status().Node
		for _, signal := range []string{"HUP", "USR2", "ALRM", "WINCH", "PWR", "IO", "HUP"} {
			kill(s, signal)()
		}
		s.Serves(images.Seed)
		if now := s.Status().Node; now.PID != node.PID {
			t.Error("the node was restarted")
		}
		if n := strings.Count(s.Logs(t.Context()), "ignored a signal"); n != 6 {
			t.Errorf("%d signals were logged:\n%s", n, s.Logs(t.Context()))
		}
		endsWith(s, "TERM", 0, kill(s, "TERM"))
	})
}

// eval evaluates expressions in the node, which has a parser and an evaluator (stdlib), and no compiler.
func eval(s *ship.Ship, text string) {
	s.T.Helper()
	tokens := s.RPC("erl_scan", "string", fmt.Sprintf("[%q]", text))
	tokens = tokens[strings.Index(tokens, "["):strings.LastIndex(tokens, ",")]
	forms := s.RPC("erl_parse", "parse_exprs", "["+tokens+"]")
	s.RPC("erl_eval", "exprs", "["+strings.TrimSuffix(strings.TrimPrefix(forms, "{ok,"), "}")+", []]")
}

// stuck is a child that no shutdown ends, of a supervisor that waits for it for ever.
const stuck = `Deaf = fun F() -> receive _ -> F() end end,
	Start = fun() -> {ok, spawn_link(fun() -> process_flag(trap_exit, true), Deaf() end)} end,
	{ok, _} = supervisor:start_child(demo_sup, {stuck, {erlang, apply, [Start, []]}, temporary, infinity, worker, []}).`

func TestANodeThatDoesNotStopIsKilledBeforeDockerDoesAndSaysWhichApplicationHangs(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(anybody(), "-e", "AGENT_STOP_TIMEOUT=7s")...) // as it is by default
		eval(s, stuck)
		endsWith(s, "docker stop", 137, func() { s.Must(s.Stop(t.Context(), ship.Grace)) }) // 10 s by default
		logs(s, "application demo does not stop")
		logs(s, "the node did not stop in time and was killed")
	})
}

// slow is a child that takes nine seconds to stop, and says so when it does.
const slow = `Start = fun() -> {ok, spawn_link(fun() -> process_flag(trap_exit, true), receive {'EXIT', _, shutdown} -> timer:sleep(9000) end end)} end,
	{ok, _} = supervisor:start_child(demo_sup, {slow, {erlang, apply, [Start, []]}, temporary, infinity, worker, []}).`

func TestANodeWithALongStopHasTheTimeThatItIsGiven(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_STOP_TIMEOUT=1m57s")
		eval(s, slow)
		begun := time.Now()
		endsWith(s, "docker stop", 0, func() { s.Must(s.Stop(t.Context(), ship.Grace)) })
		if took := time.Since(begun); took < 9*time.Second {
			t.Errorf("it ended after only %v\n%s", took, s.Logs(t.Context()))
		}
	})
}

// leaving are two port programs that outlive their node: one takes a moment to clean up, one does not listen.
const leaving = `Port = fun(Script) -> open_port({spawn_executable, "/bin/sh"}, [nouse_stdio, {args, ["-c", Script]}]) end,
	Port("trap 'sleep 0.2; touch /var/lib/release/cleaned; exit' TERM; while :; do sleep 0.1; done"),
	Port("trap '' TERM HUP; while :; do sleep 0.1; done").`

func TestWhatTheNodeLeavesHasTimeToCleanUpAndTheStatusIsTheNodes(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		eval(s, leaving)
		endsWith(s, "TERM", 0, kill(s, "TERM"))
		logs(s, "what the node left was ended")
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
		_, err := s.Output(t.Context(), "test", "-e", "/var/lib/release/cleaned")
		s.Must(err)
	})
}

func TestQuitIsAFastStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_STOP_TIMEOUT=1h")
		eval(s, stuck)
		kill(s, "TERM")()
		endsWith(s, "QUIT after TERM", 137, kill(s, "QUIT"))
	})
}

func TestADumpIsWrittenOnRequestAndTheNodeEndsAsThePolicySays(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=10ms")
		kill(s, "USR1")()
		s.AwaitEvent("node.ended")
		s.Serves(images.Seed)
		logs(s, "a crash dump was asked for")
		found, err := s.Output(t.Context(), "sh", "-c", "head -c 1000 /var/lib/release/log/erl_crash-*.dump")
		s.Must(err)
		if !strings.Contains(found, "SIGUSR1") {
			t.Errorf("the dump begins with %s", found)
		}
	})
}

func TestTheNodesExitCodePassesThrough(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for _, c := range []struct {
			function, args string
			want           int
			options        []string
		}{
			{"init stop", "[]", 0, nil},
			{"init stop", "[3]", 3, nil},
			{"erlang halt", "[7]", 7, []string{"--init"}},
			{"init stop", "[256]", 0, nil},
			{"erlang halt", "[300]", 44, nil},
		} {
			t.Run(c.function+c.args, func(t *testing.T) {
				t.Parallel()
				s := ship.Launch(t, set, c.options...)
				endsWith(s, fmt.Sprint(c.function, c.args), c.want, func() {
					s.Agent(nil, append(append([]string{"rpc"}, strings.Fields(c.function)...), c.args)...)
				})
			})
		}
	})
}

func TestOpenStreamsAndAnUpgradeOnProbationDoNotDelayTheStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_STOP_TIMEOUT=1h") // nor does the probation end before
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "--settle", "1h", "-"}, Stdin: strings.NewReader(string(s.Package(images.Second)))})
		s.AwaitEvent("node.installed")
		endsWith(s, "TERM", 0, kill(s, "TERM"))
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
	})
}
