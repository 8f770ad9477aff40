package pid1_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// quickly fails the story when an answer takes long; the client's own start in the container is in it.
func quickly(s *ship.Ship, about string, ask func() ship.Answer) ship.Answer {
	s.T.Helper()
	begun := time.Now()
	a := ask()
	if took := time.Since(begun); took > 3*time.Second {
		s.T.Errorf("%s: %v until the answer %+v", about, took, a)
	}
	return a
}

func TestTheAgentAnswersWhileTheNodeStops(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		eval(s, stuck)
		kill(s, "TERM")()
		s.Must(s.Await(t.Context(), "the stop", ship.Patience, func(context.Context) error {
			if s.Status().Node.State != api.NodeStopping {
				return errNotYet
			}
			return nil
		}))
		a := quickly(s, "upgrade", func() ship.Answer { return s.Upgrade(s.Package(images.Second)) })
		if a.Status != 3 || !strings.Contains(a.Stderr, "the node is stopping") {
			t.Errorf("an upgrade meanwhile: %+v", a)
		}
		s.Ends(quickly(s, "stop", func() ship.Answer { return s.Agent(nil, "stop") }), 0)
		endsWith(s, "QUIT", 137, kill(s, "QUIT"))
	})
}

func TestTheAgentAnswersWhileTheNodeBoots(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Must(s.Restart(t.Context(), 10*time.Second))
		for booted := false; !booted; {
			a := quickly(s, "status", func() ship.Answer { return s.Agent(nil, "status") })
			if a.Status != 0 && (a.Status != 10 || a.Stderr == "") {
				t.Fatalf("status while it boots: %+v", a)
			}
			booted = strings.Contains(a.Stdout, "running")
		}
		a := quickly(s, "stop", func() ship.Answer { return s.Agent(nil, "stop") })
		s.Ends(a, 0)
		endsWith(s, "agent stop", 0, func() {})
	})
}

func TestTheEndOfTheClientDoesNotEndItsUpgrade(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "--settle", "3s", "-"}, Stdin: strings.NewReader(string(s.Package(images.Second)))})
		s.AwaitEvent("node.installed")
		_, err := s.Output(t.Context(), "sh", "-c", `for p in /proc/[0-9]*; do tr '\0' ' ' <$p/cmdline 2>/dev/null | grep -q '^agent upgrade' && kill -9 ${p#/proc/}; done; true`)
		s.Must(err)
		s.AwaitEvent("upgrade.committed")
		s.Serves(images.Second)
	})
}

func TestAnUploadThatStallsDoesNotDelayTheStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		reader, writer := io.Pipe()
		defer writer.Close()
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: reader})
		_, err := writer.Write(s.Package(images.Second)[:1000])
		s.Must(err)
		s.Must(s.Await(t.Context(), "the upgrade", ship.Patience, func(context.Context) error {
			if s.Status().Upgrade == nil {
				return errNotYet
			}
			return nil
		}))
		status, took := ended(s, kill(s, "TERM"))
		if status != 0 || took > 4*time.Second {
			t.Errorf("exit status %d after %v\n%s", status, took, s.Logs(t.Context()))
		}
	})
}
