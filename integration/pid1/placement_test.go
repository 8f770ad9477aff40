package pid1_test

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// stopsCleanly is the end of each of these stories: the node serves, and stops in order.
func stopsCleanly(s *ship.Ship, about string) {
	s.T.Helper()
	s.Serves(images.Seed)
	endsWith(s, about, 0, kill(s, "TERM"))
}

func TestTheContainerRunsHoweverItIsStarted(t *testing.T) {
	for about, options := range map[string][]string{
		"behind docker-init":             {"--init"},
		"with a terminal, no stdin":      {"-t"},
		"with stdin held open":           {"-i"},
		"with a terminal and stdin":      {"-i", "-t"},
		"as any user, with no privilege": append(docker.Hardened()[:1:1], "--user", "54321:54321", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/data:mode=1777,exec", "-e", "AGENT_VOLUME=/data"),
	} {
		t.Run(about, func(t *testing.T) {
			ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
				s := ship.Launch(t, set, options...)
				node := s.Status().Node
				attach(s)
				s.Serves(images.Seed)
				if now := s.Status().Node; now.PID != node.PID {
					t.Error("an operator who looked in ended the node")
				}
				stopsCleanly(s, about)
			})
		})
	}
}

// attach looks at the container's output for a moment, as docker attach does.
func attach(s *ship.Ship) {
	s.T.Helper()
	brief, cancel := context.WithTimeout(s.T.Context(), 300*time.Millisecond)
	defer cancel()
	_ = exec.CommandContext(brief, "docker", "attach", "--sig-proxy=false", s.ID).Run()
}

func TestCtrlCOnATerminalIsAnOrderlyStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-i", "-t")
		attached := exec.CommandContext(t.Context(), "script", "-qec", "docker attach "+s.ID, "/dev/null")
		stdin, err := attached.StdinPipe()
		s.Must(err)
		var screen screen
		attached.Stdout = &screen
		s.Must(attached.Start())
		s.Must(s.Await(t.Context(), "the container's output", ship.Patience, func(context.Context) error {
			s.RPC("io", "format", `[user, "anybody?~n", []]`)
			return screen.shows("anybody?")
		}))
		endsWith(s, "Ctrl-C", 0, func() {
			_, err := stdin.Write([]byte{3})
			s.Must(err)
		})
		_ = stdin.Close()
		_ = attached.Wait()
	})
}

// screen is what a terminal shows while it is written.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) shows(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(s.text.String(), text) {
		return nil
	}
	return errNotYet
}

type notYet string

func (e notYet) Error() string { return string(e) }

const errNotYet = notYet("it has not come yet")

func TestTheAgentOutlivesTheReaderOfItsOutput(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Must(s.Remove(t.Context()))
		c, err := s.Session.Start(t.Context(), docker.Spec{
			Image: set.Image, Name: "unheard", Options: []string{"-v", s.Volume + ":/var/lib/release", "--entrypoint", "sh"},
			Command: []string{"-c", "mkfifo /tmp/out && { head -c 1 /tmp/out >/dev/null & exec agent run >/tmp/out 2>&1; }"},
		})
		s.Must(err)
		s.Container = c
		s.Serves(images.Seed)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Serves(images.Second)
		endsWith(s, "TERM", 0, kill(s, "TERM"))
	})
}

func TestTwoAgentsInOnePIDNamespaceLeaveEachOtherAlone(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		first := ship.Launch(t, set)
		node := first.Status().Node
		second := ship.Launch(t, set, "--pid", "container:"+first.ID, "-e", "AGENT_RESTART=always", "-e", "AGENT_RESTART_DELAY=10ms")
		second.KillNode()
		second.AwaitEvent("node.ended")
		stopsCleanly(second, "the second")
		if now := first.Status().Node; now.PID != node.PID {
			t.Error("the first one's node was restarted")
		}
		stopsCleanly(first, "the first")
	})
}

func TestAHugeLimitOfOpenFilesDoesNotReachTheNode(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "--ulimit", "nofile=16384:16384", "-e", "AGENT_NOFILE=4096")
		if ports, err := strconv.Atoi(s.RPC("erlang", "system_info", "[port_limit]")); err != nil || ports > 65536 {
			t.Errorf("the node has room for %d ports, %v", ports, err)
		}
		limits, err := s.Output(t.Context(), "grep", "Max open files", "/proc/"+strconv.Itoa(s.Status().Node.PID)+"/limits")
		s.Must(err)
		if got := strings.Fields(limits)[3:5]; got[0] != "4096" || got[1] != "16384" {
			t.Errorf("its limits are %v", got)
		}
	})
}

func TestTheNodeHasTheSchedulersThatItWouldHaveWithoutTheAgent(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for _, limit := range [][]string{{"--cpus", "0.5"}, {"--cpuset-cpus", "0"}, nil} {
			args := append(append([]string{"run", "--rm"}, limit...), "--entrypoint", "erl", set.Image, "-noinput", "-eval", `io:format("~p", [erlang:system_info(schedulers_online)]), halt().`)
			want, err := docker.Output(t.Context(), args...)
			s := ship.Launch(t, set, limit...)
			s.Must(err)
			if got := s.RPC("erlang", "system_info", "[schedulers_online]"); got != want {
				t.Errorf("%v: %s schedulers, want %s", limit, got, want)
			}
		}
	})
}

func TestANodeThatStandsStillForAMomentIsNotRestarted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=always", "-e", "AGENT_RESTART_DELAY=10ms")
		node := s.Status().Node
		pid := strconv.Itoa(node.PID)
		for _, pair := range [][2]func() error{
			{func() error { _, err := docker.Output(t.Context(), "pause", s.ID); return err }, func() error { _, err := docker.Output(t.Context(), "unpause", s.ID); return err }},
			{func() error { _, err := s.Output(t.Context(), "sh", "-c", "kill -STOP "+pid); return err }, func() error { _, err := s.Output(t.Context(), "sh", "-c", "kill -CONT "+pid); return err }},
		} {
			s.Must(pair[0]())
			<-time.After(3 * time.Second) // how long it stands still is what is tested
			s.Must(pair[1]())
			s.Serves(images.Seed)
		}
		if now := s.Status().Node; now.PID != node.PID || now.Restarts.Count != 0 {
			t.Errorf("the node is %+v, was %+v", now, node)
		}
	})
}
