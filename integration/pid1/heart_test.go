package pid1_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// watched is how the node's heart is watched here: as closely as it can be.
var watched = []string{"-e", "AGENT_HEART_TIMEOUT=10s", "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=20ms"}

// restarted waits until the node was restarted so often, and serves again.
func restarted(s *ship.Ship, count int) api.Restarts {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "the restart", ship.Patience, func(context.Context) error {
		if s.Status().Node.Restarts.Count < count {
			return errNotYet
		}
		return nil
	}))
	s.Serves(images.Seed)
	status := s.Status()
	if want := "the node before it ended: " + status.Node.Restarts.Last; status.Boot.Reason != want {
		s.T.Errorf("it was booted for %q, not %q", status.Boot.Reason, want)
	}
	return status.Node.Restarts
}

// processes are the programs that run in the container, by their files.
func processes(s *ship.Ship) string {
	s.T.Helper()
	list, err := s.Output(s.T.Context(), "sh", "-c", `for p in /proc/[0-9]*; do readlink $p/exe; done; true`)
	s.Must(err)
	return list
}

func tellNode(s *ship.Ship, signal string) {
	s.T.Helper()
	_, err := s.Output(s.T.Context(), "sh", "-c", "kill -"+signal+" "+strconv.Itoa(s.Status().Node.PID))
	s.Must(err)
}

func TestARebootIsToldFromAStopThoughBothExitWithZero(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, watched...)
		s.Agent(nil, "rpc", "init", "reboot")
		if last := restarted(s, 1).Last; !strings.Contains(last, "it asked for a reboot or was halted") {
			t.Errorf("the reason is %q", last)
		}
		endsWith(s, "init:stop()", 0, func() { s.Agent(nil, "rpc", "init", "stop") })
		logs(s, "it stopped itself in order, init:stop")
	})
}

func TestARebootEndsTheContainerWhereNothingIsToBeRestarted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		endsWith(s, "init:reboot()", 0, func() { s.Agent(nil, "rpc", "init", "reboot") })
		logs(s, "it asked for a reboot or was halted")
	})
}

// TestAReleaseWithItsOwnHeartHasOneRestarter: no process is heart's, so nothing but the agent can start a node.
func TestAReleaseWithItsOwnHeartHasOneRestarter(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, "-e", "AGENT_RESTART_DELAY=20ms", "-e", "HEART_COMMAND=touch /run/agent/restarted")
		s.Replace(s.ImageWith("heart", func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/vm.args") {
				content = append(content, "\n-heart\n"...)
			}
			return name, content
		}))
		s.Serves(images.Seed)
		for count := range 2 {
			if list := processes(s); strings.Count(list, "/beam.smp") != 1 || strings.Contains(list, "/heart") {
				t.Errorf("there run\n%s", list)
			}
			s.KillNode()
			restarted(s, count+1)
		}
		if _, err := s.Output(t.Context(), "test", "!", "-e", "/run/agent/restarted"); err != nil {
			t.Errorf("HEART_COMMAND ran: %v", err)
		}
		if got := s.RPC("heart", "get_cmd"); got != `{ok,""}` && got != `{ok,[]}` {
			t.Errorf("heart:get_cmd() is %s", got)
		}
	})
}

func TestAStoppedNodeIsFoundToHangWritesItsDumpAndIsRestarted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, watched...)
		tellNode(s, "STOP")
		s.AwaitEvent("node.hung")
		if last := restarted(s, 1).Last; last != "exit status 1: it hung" {
			t.Errorf("the reason is %q", last)
		}
		logs(s, "Received SIGUSR1")
	})
}

func TestANodeWhoseSchedulersHangIsAbortedAndRestarted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, watched...)
		s.RPC("erts_debug", "set_internal_state", "[available_internal_state, true]")
		s.Agent(nil, "rpc", "erts_debug", "set_internal_state", "[block, 3600000]") // which is never answered
		if last := restarted(s, 1).Last; last != "killed by SIGABRT: it hung" {
			t.Errorf("the reason is %q", last)
		}
	})
}

// TestAPauseIsNoHang: neither one of the container that is longer than the timeout, nor a stop of the node that is
// shorter.
func TestAPauseIsNoHang(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(slices.Clone(watched), "-e", "AGENT_HEART_TIMEOUT=15s")...) // more than a stop that takes longer
		before := s.Status().Node
		for range 2 {
			s.Pause()
			last(t, 17*time.Second)
			s.Unpause()
			last(t, 2*time.Second) // a tick that was due fires at once, and then the node has time to beat
		}
		_, err := s.Output(t.Context(), "sh", "-c", "kill -STOP $0; sleep 6; kill -CONT $0", strconv.Itoa(before.PID))
		s.Must(err)
		last(t, 21*time.Second) // as long as a hang would need to be found
		s.Serves(images.Seed)
		if now := s.Status().Node; now.PID != before.PID || now.Restarts.Count != 0 || strings.Contains(s.Logs(t.Context()), "it hangs") {
			t.Errorf("the node was taken to hang:\n%s", s.Logs(t.Context()))
		}
	})
}

// last is how long something is to last.
func last(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if <-ctx.Done(); !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatal(ctx.Err())
	}
}

// TestAnUpgradeIsNotWatched: a node that is stopped on probation for longer than the timeout is not taken to hang.
func TestAnUpgradeIsNotWatched(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, watched...)
		upgraded := make(chan ship.Answer)
		go func() { upgraded <- s.Upgrade(s.Package(images.Second), "--settle", "21s") }()
		s.AwaitEvent("node.installed")
		tellNode(s, "STOP")
		last(t, 18*time.Second)
		tellNode(s, "CONT")
		s.Ends(<-upgraded, 0)
		s.Serves(images.Second)
		if text := s.Logs(t.Context()); strings.Contains(text, "it hangs") {
			t.Errorf("the node was taken to hang:\n%s", text)
		}
	})
}
