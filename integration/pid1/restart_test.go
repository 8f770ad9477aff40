package pid1_test

import (
	"context"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

func TestANodeThatIsKilledIsRestartedUnderThePolicyAndStatusTellsIt(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=20ms")
		s.KillNode()
		s.AwaitEvent("node.ended")
		s.Serves(images.Seed)
		node := s.Status().Node
		if node.Restarts.Count != 1 || node.Restarts.Last != "killed by SIGKILL" {
			t.Errorf("restarts: %+v", node.Restarts)
		}
		endsWith(s, "init:stop() in the node", 0, func() { s.Agent(nil, "rpc", "init", "stop") })
	})
}

// leftovers are ports that do not end with their node, each in its own way.
const leftovers = `open_port({spawn, "sleep 4711"}, [nouse_stdio]), os:cmd("nohup sleep 4712 >/dev/null 2>&1 &"), inet:gethostbyname("localhost").`

func TestNothingOfADeadNodeIsLeftWhenTheNextOneStarts(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(docker.Hardened(), "-e", "AGENT_RESTART=always", "-e", "AGENT_RESTART_DELAY=20ms")...)
		go s.Exec(t.Context(), docker.Exec{Args: []string{"sleep", "4713"}})
		_, err := s.Output(t.Context(), "sh", "-c", "sleep 4714 >/dev/null 2>&1 &")
		s.Must(err)
		for count, end := range []func(){s.KillNode, func() { s.Agent(nil, "rpc", "init", "stop") }} {
			s.Must(s.Await(t.Context(), "the operator's own process", ship.Patience, func(ctx context.Context) error {
				_, err := s.Output(ctx, "sh", "-c", "grep -lzx 471[3] /proc/[0-9]*/cmdline") // which does not find itself
				return err
			}))
			eval(s, leftovers)
			end()
			s.Must(s.Await(t.Context(), "the restart", ship.Patience, func(context.Context) error {
				if s.Status().Node.Restarts.Count != count+1 {
					return errNotYet
				}
				return s.Healthy(t.Context())
			}))
			left, err := s.Output(t.Context(), "sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null; echo; done`)
			s.Must(err)
			for program, stays := range map[string]bool{"sleep 4711": false, "sleep 4712": false, "inet_gethost": false, "sleep 4713": true, "sleep 4714": true} {
				if strings.Contains(left, program) != stays {
					t.Errorf("%s after restart %d, where there are:\n%s", program, count+1, left)
				}
			}
		}
		_, err = s.Output(t.Context(), "sh", "-c", "kill $(grep -lz 471[34] /proc/[0-9]*/cmdline | cut -d/ -f3)")
		s.Must(err)
		s.Must(s.Await(t.Context(), "the end of what the operator left", ship.Patience, func(ctx context.Context) error {
			_, err := s.Output(ctx, "sh", "-c", "! grep -l '^Name:.sleep' /proc/[0-9]*/status") // dead ones, too
			return err
		}))
		if text := s.Logs(t.Context()); strings.Contains(text, "in use") {
			t.Errorf("the node found something in use:\n%s", text)
		}
	})
}

func TestACrashLoopBacksOffGivesUpAndKeepsItsDumps(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms", "-e", "AGENT_RESTART_LIMIT=2")
		_, err := s.Output(t.Context(), "sh", "-c", "chmod u+w /var/lib/release/releases/1.0.0/sys.config && echo '[{demo,[{http_port,bad}]}].' >/var/lib/release/releases/1.0.0/sys.config")
		s.Must(err)
		endsWith(s, "a node that is killed again and again", 1, s.KillNode)
		logs(s, "restarted 2 times in a row, so the agent gives up")
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
		dumps, err := s.Output(t.Context(), "sh", "-c", "ls /var/lib/release/log")
		s.Must(err)
		if n := len(strings.Fields(dumps)); n != 2 { // kill -9 leaves none
			t.Errorf("%d dumps are kept:\n%s", n, dumps)
		}
	})
}

func TestInBackOffTheAgentAnswersAndStopsAtOnce(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=always", "-e", "AGENT_RESTART_DELAY=1h", "-e", "AGENT_STOP_TIMEOUT=1h")
		s.KillNode()
		s.AwaitEvent("node.ended")
		if got := s.Status().Node.State; got != api.NodeRestarting {
			t.Errorf("the node is %s", got)
		}
		if a := s.Upgrade(s.Package(images.Second)); a.Status != 3 || !strings.Contains(a.Stderr, "the node is down, and restarted in") {
			t.Errorf("an upgrade meanwhile: status %d: %s", a.Status, a.Stderr)
		}
		endsWith(s, "TERM", 0, kill(s, "TERM"))
	})
}

func TestANodeThatIsKilledForWantOfMemoryIsToldApart(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "--memory", "160m", "--memory-swap", "160m",
			"-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=10ms", "-e", "AGENT_RESTART_LIMIT=1")
		takeAll := func() { s.Agent(nil, "rpc", "binary", "copy", "[<<1>>, 1000000000]") }
		since := s.Status().Agent.Since
		takeAll()
		s.AwaitEvent("node.ended")
		s.Serves(images.Seed)
		if status := s.Status(); !status.Agent.Since.Equal(since) || !strings.Contains(status.Node.Restarts.Last, "OOM") {
			t.Errorf("the agent is %+v, the node %+v", status.Agent, status.Node)
		}
		endsWith(s, "a node that takes all memory once more", 137, takeAll)
		logs(s, "it was killed for want of memory (OOM)")
		if killed, err := s.Inspect(t.Context(), "{{.State.OOMKilled}}"); err != nil || killed != "true" {
			t.Errorf("docker says OOMKilled=%s, %v", killed, err)
		}
	})
}

func TestTheEndOfThePortServerIsACrashAndTermToAllIsAnOrderlyStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		endsWith(s, "kill -9 of erl_child_setup", 1, func() {
			_, _ = s.Output(t.Context(), "sh", "-c", `for p in /proc/[0-9]*; do grep -q erl_child_setup $p/comm && kill -9 ${p#/proc/}; done`)
		})
		logs(s, "its crash dump is /var/lib/release/log/erl_crash-")
		s = ship.Launch(t, set)
		endsWith(s, "TERM to all", 0, func() { _, _ = s.Exec(t.Context(), docker.Exec{Args: []string{"sh", "-c", "kill -TERM -1"}}) })
		if text := s.Logs(t.Context()); strings.Contains(text, "its crash dump") {
			t.Errorf("it crashed:\n%s", text)
		}
	})
}

func TestADumpThatCannotBeWrittenKeepsNobody(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for about, options := range map[string][]string{
			"nowhere to write it": {"-e", "ERL_CRASH_DUMP=/proc/none/dump"},
			"no room for it":      {"-e", "ERL_CRASH_DUMP=/full/dump", "--tmpfs", "/full:size=4k,mode=1777"},
		} {
			s := ship.Launch(t, set, options...)
			endsWith(s, about, 1, func() { s.Agent(nil, "rpc", "erlang", "halt", `["the sky falls"]`) })
			logs(s, "the sky falls")
		}
	})
}
