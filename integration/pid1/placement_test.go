package pid1_test

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// anybody is a user whom nobody knows, with no privilege, and nothing to write to but memory.
func anybody() []string {
	return []string{
		"--read-only", "--user", "54321:54321", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/data:mode=1777,exec", "-e", "AGENT_VOLUME=/data",
	}
}

func TestTheContainerRunsHoweverItIsStarted(t *testing.T) {
	for about, options := range map[string][]string{
		"behind docker-init":        {"--init"},
		"with a terminal, no stdin": {"-t"},
		"with stdin held open":      {"-i"},
		"with a terminal and stdin": {"-i", "-t"},
		"as any user":               anybody(),
	} {
		t.Run(about, func(t *testing.T) {
			ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
				s := ship.Launch(t, set, options...)
				node := s.Status().Node
				look := watch(s, options)
				look.types("init:stop().\nhalt().\n")
				look.leaves()
				s.Serves(images.Seed)
				if now := s.Status().Node; now.PID != node.PID {
					t.Error("an operator who looked in ended the node")
				}
				endsWith(s, about, 0, kill(s, "INT")) // which would have a node that reads stdin break
			})
		})
	}
}

// watcher is an operator at the container's output, by docker attach.
type watcher struct {
	s        *ship.Ship
	client   *exec.Cmd
	stdin    io.WriteCloser
	screen   screen
	terminal bool // of the container
	reads    bool // the container has stdin
}

// watch returns when the container's output is seen.
func watch(s *ship.Ship, options []string) *watcher {
	s.T.Helper()
	w := &watcher{s: s, terminal: slices.Contains(options, "-t"), reads: slices.Contains(options, "-i")}
	w.client = exec.CommandContext(s.T.Context(), "docker", "attach", "--sig-proxy=false", s.ID)
	if w.terminal { // docker wants one, too
		w.client = exec.CommandContext(s.T.Context(), "script", "-qec", "docker attach --sig-proxy=false "+s.ID, "/dev/null")
	}
	w.client.Stdout = &w.screen
	var err error
	w.stdin, err = w.client.StdinPipe()
	s.Must(err)
	s.Must(w.client.Start())
	s.Must(s.Await(s.T.Context(), "the container's output", ship.Patience, func(context.Context) error {
		s.RPC("io", "format", `[user, "anybody?~n", []]`)
		return w.screen.shows("anybody?")
	}))
	return w
}

func (w *watcher) types(text string) {
	w.s.T.Helper()
	_, err := io.WriteString(w.stdin, text)
	w.s.Must(err)
}

// leaves detaches by the keys for it where there are any, and by the end of input elsewhere.
func (w *watcher) leaves() {
	w.s.T.Helper()
	if w.terminal && w.reads {
		w.types("\x10\x11")
		_ = w.client.Wait() // a client that has detached tells it by its status, too
		w.s.Must(w.screen.shows("read escape sequence"))
		return
	}
	_ = w.stdin.Close()
	_ = w.client.Process.Kill()
	_ = w.client.Wait()
}

func TestCtrlCOnATerminalIsAnOrderlyStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		options := []string{"-i", "-t"}
		s := ship.Launch(t, set, options...)
		look := watch(s, options)
		endsWith(s, "Ctrl-C", 0, func() { look.types("\x03") })
		_ = look.stdin.Close()
		_ = look.client.Wait()
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
			Image: set.Image, Name: "unheard", Options: append([]string{"-v", s.Volume + ":/var/lib/release", "--entrypoint", "sh"}, ship.Unhurried...),
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
		second.Serves(images.Seed)
		endsWith(second, "kill -9 of the second", 137, kill(second, "KILL"))
		first.Must(first.Await(t.Context(), "the end of the second's node", ship.Patience, func(ctx context.Context) error {
			beams, err := first.Output(ctx, "sh", "-c", "grep -c beam.smp /proc/[0-9]*/comm | grep -c :1")
			if err == nil && beams != "1" {
				err = fmt.Errorf("%s nodes run", beams)
			}
			return err
		}))
		second.Must(second.Start(t.Context()))
		stopsCleanly(second, "the second")
		if now := first.Status().Node; now.PID != node.PID {
			t.Error("the first one's node was restarted")
		}
		stopsCleanly(first, "the first")
	})
}

func TestAHugeLimitOfOpenFilesDoesNotReachTheNode(t *testing.T) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		t.Fatal(err)
	}
	huge := min(1<<20, own.Max) // what this machine gives
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		normal := memory(ship.Launch(t, set, "--ulimit", "nofile=4096:4096"))
		for limit, want := range map[string]string{"": fmt.Sprint(min(65536, huge)), "4096": "4096"} {
			s := ship.Launch(t, set, "--ulimit", fmt.Sprintf("nofile=%d:%d", huge, huge), "-e", "AGENT_NOFILE="+limit)
			if ports, err := strconv.Atoi(s.RPC("erlang", "system_info", "[port_limit]")); err != nil || ports > 65536 {
				t.Errorf("the node has room for %d ports, %v", ports, err)
			}
			limits, err := s.Output(t.Context(), "grep", "Max open files", "/proc/"+strconv.Itoa(s.Status().Node.PID)+"/limits")
			s.Must(err)
			if got := strings.Fields(limits)[3:5]; got[0] != want || got[1] != fmt.Sprint(huge) {
				t.Errorf("its limits are %v", got)
			}
			if m := memory(s); m > normal+10<<10 {
				t.Errorf("it holds %d KiB, and %d with an ordinary limit", m, normal)
			}
		}
	})
}

// memory is what the node holds, in KiB.
func memory(s *ship.Ship) (kib int) {
	s.T.Helper()
	out, err := s.Output(s.T.Context(), "grep", "VmRSS", "/proc/"+strconv.Itoa(s.Status().Node.PID)+"/status")
	s.Must(err)
	_, err = fmt.Sscanf(out, "VmRSS: %d kB", &kib)
	s.Must(err)
	return kib
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
		still := func(length time.Duration, stop, on func()) {
			stop()
			last(t, length)
			on()
			s.Serves(images.Seed)
		}
		pause := 5 * time.Second
		if set.OTP == "27" { // on one, long enough for distribution and heart to take it for silence
			pause = 65 * time.Second
		}
		still(pause, s.Pause, s.Unpause)
		still(5*time.Second, func() { tellNode(s, "STOP") }, func() { tellNode(s, "CONT") })
		if now := s.Status().Node; now.PID != node.PID || now.Restarts.Count != 0 {
			t.Errorf("the node is %+v, was %+v", now, node)
		}
	})
}

func TestAnAgentThatIsKilledTakesTheNodeWithItAndTheVolumeBoots(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for about, options := range map[string][]string{"PID 1": nil, "the child of another init": {"--init"}} {
			s := ship.Launch(t, set, options...)
			endsWith(s, "kill -9 of the agent as "+about, 137, func() {
				// The container may end before the command in it does, and Docker then says that the command was killed.
				_, _ = docker.Output(t.Context(), "exec", "-u", "0", s.ID, "sh", "-c",
					`for p in /proc/[0-9]*; do [ "$(tr '\0' ' ' <$p/cmdline)" = "agent run " ] && kill -9 ${p#/proc/}; done; true`)
				if options == nil { // the kernel keeps KILL from PID 1 of its own namespace
					kill(s, "KILL")()
				}
			})
			s.Must(s.Start(t.Context()))
			stopsCleanly(s, about)
		}
	})
}
