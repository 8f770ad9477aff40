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

// comesTo waits until the node is in a state.
func comesTo(s *ship.Ship, state string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "the state "+state, ship.Patience, func(context.Context) error {
		if a := s.Agent(nil, "status", "--json"); a.Status != 0 || ship.Decode[api.Status](s, a).Node.State != state {
			return errNotYet
		}
		return nil
	}))
}

// answers asks what an operator would, of an agent whose node is in a state that it stays in.
func answers(s *ship.Ship, state string, reason string) {
	s.T.Helper()
	if a := s.Upgrade(s.Package(images.Second)); a.Status != 3 || !strings.Contains(a.Stderr, reason) {
		s.T.Errorf("an upgrade meanwhile: %+v", a)
	}
	s.Ends(s.Agent(nil, "releases"), 0)
	s.Ends(s.Agent(nil, "stop"), 0)
	if now := s.Status().Node.State; now != state && now != api.NodeStopping {
		s.T.Errorf("the node is %s after the answers", now)
	}
}

// An answer that came is one that did not wait for the node: nothing of it ends by itself within an hour.

func TestTheAgentAnswersWhileTheNodeStops(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_STOP_TIMEOUT=1h")
		eval(s, stuck)
		kill(s, "TERM")()
		comesTo(s, api.NodeStopping)
		answers(s, api.NodeStopping, "the node is stopping")
		endsWith(s, "QUIT", 137, kill(s, "QUIT"))
	})
}

// held is a node that never finishes its boot: its kernel waits for a peer that there is not.
var held = []string{"-e", "ERL_FLAGS=-kernel sync_nodes_timeout infinity -kernel sync_nodes_mandatory [nobody@localhost]"}

func TestTheAgentAnswersWhileTheNodeBoots(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(held, "-e", "AGENT_BOOT_TIMEOUT=1h", "-e", "AGENT_STOP_TIMEOUT=1h")...)
		s.Replace(set.Image)
		comesTo(s, api.NodeBooting)
		answers(s, api.NodeBooting, "the node is booting")
		endsWith(s, "QUIT", 137, kill(s, "QUIT"))
	})
}

func TestTheAgentAnswersAtEachMomentOfABoot(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Must(s.Restart(t.Context(), ship.Grace))
		for deadline, booted := time.Now().Add(ship.Patience), false; !booted; {
			if time.Now().After(deadline) {
				t.Fatalf("it does not boot\n%s", s.Logs(t.Context()))
			}
			a := s.Agent(nil, "status")
			if a.Status != 0 && (a.Status != 10 || a.Stderr == "") {
				t.Fatalf("status while it boots: %+v", a)
			}
			booted = strings.Contains(a.Stdout, "running")
		}
		s.EndsIt(s.Agent(nil, "stop"))
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
		s := ship.Launch(t, set, "-e", "AGENT_STOP_TIMEOUT=1h") // the upload does not end by itself, either
		reader, writer := io.Pipe()
		defer writer.Close()
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: reader})
		_, err := writer.Write(s.Package(images.Second)[:1000])
		s.Must(err)
		s.AwaitUpgrade("requested")
		endsWith(s, "TERM", 0, kill(s, "TERM"))
	})
}
