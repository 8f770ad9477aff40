package pid1_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// lastWords is a child that tells when its application stops.
const lastWords = `Start = fun() -> {ok, spawn_link(fun() -> process_flag(trap_exit, true), receive {'EXIT', _, shutdown} -> io:format(user, "the last child stops~n", []) end end)} end,
	{ok, _} = supervisor:start_child(demo_sup, {last, {erlang, apply, [Start, []]}, temporary, 5000, worker, []}).`

// The agent's share of a stop is from TERM to the agent until the node says that it has one, and from the node's end
// until the agent's own. The best of them counts: what else the machine does is in it.
func TestTheAgentAddsHardlyAnythingToTheNodesOwnStop(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to signal the agent without docker in between")
	}
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		var share time.Duration
		for attempt := range 10 {
			eval(s, lastWords)
			said := strings.Count(s.Logs(t.Context()), "the last child stops")
			share = shareOfAStop(s)
			if n := strings.Count(s.Logs(t.Context()), "the last child stops") - said; n != 1 {
				t.Errorf("the application was stopped %d times", n)
			}
			if share < 200*time.Millisecond {
				return
			}
			t.Logf("attempt %d: %v", attempt, share)
			s.Must(s.Start(t.Context()))
			s.Serves(images.Seed)
		}
		t.Errorf("the agent's share of a stop is %v", share)
	})
}

func shareOfAStop(s *ship.Ship) time.Duration {
	s.T.Helper()
	text, err := s.Inspect(s.T.Context(), "{{.State.Pid}}")
	s.Must(err)
	agent, err := strconv.Atoi(text)
	s.Must(err)
	node := beam(s, agent)
	begun := time.Now()
	s.Must(unix.Kill(agent, unix.SIGTERM))
	ended := gone(s, node)
	after := gone(s, agent).Sub(ended)
	if status, err := s.Wait(s.T.Context()); err != nil || status != 0 {
		s.T.Errorf("exit status %d, %v", status, err)
	}
	return heard(s, begun).Sub(begun) + after
}

// beam is the node as it is seen from here.
func beam(s *ship.Ship, agent int) int {
	s.T.Helper()
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", agent))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, pid := range strings.Fields(string(text)) {
			if name, _ := os.ReadFile("/proc/" + pid + "/comm"); strings.HasPrefix(string(name), "beam") {
				n, _ := strconv.Atoi(pid)
				return n
			}
		}
	}
	s.T.Fatalf("there is no node below %d", agent)
	return 0
}

// gone is when pid was seen to have ended.
func gone(s *ship.Ship, pid int) time.Time {
	s.T.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(ship.Patience); time.Now().Before(deadline); <-look.C {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return time.Now()
		}
	}
	s.T.Fatalf("%d does not end", pid)
	return time.Time{}
}

// heard is when the node said that TERM had come, by docker's own clock for each line.
func heard(s *ship.Ship, since time.Time) time.Time {
	s.T.Helper()
	// The node writes to standard output, which is what docker logs prints there.
	text, err := docker.Output(context.WithoutCancel(s.T.Context()), "logs", "--timestamps", "--since", since.Format(time.RFC3339Nano), s.ID)
	s.Must(err)
	for line := range strings.Lines(text) {
		if stamp, said, _ := strings.Cut(line, " "); strings.Contains(said, "SIGTERM received") {
			at, err := time.Parse(time.RFC3339Nano, stamp)
			s.Must(err)
			return at
		}
	}
	s.T.Fatalf("the node did not say that it was told to stop:\n%s", text)
	return time.Time{}
}
