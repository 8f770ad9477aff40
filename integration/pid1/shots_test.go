package pid1_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// shot is a TERM at a moment after the agent's start.
type shot struct {
	ship   *ship.Ship
	number int
	after  time.Duration
}

// TestTermAtAnyMomentOfTheBootEndsTheContainerInOrder takes a sample of moments. AGENT_TEST_SHOTS=all takes all of
// them, AGENT_TEST_SEED repeats a sample.
func TestTermAtAnyMomentOfTheBootEndsTheContainerInOrder(t *testing.T) {
	seed := seed()
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		t.Logf("AGENT_TEST_SEED=%d", seed)
		s := ship.Launch(t, set)
		s.Must(s.Remove(t.Context())) // its volume has the release
		for n, after := range moments(rand.New(rand.NewPCG(seed, 0))) {
			shot{s, n, after}.fire()
		}
	})
}

func seed() uint64 {
	if seed, err := strconv.ParseUint(os.Getenv("AGENT_TEST_SEED"), 10, 64); err == nil {
		return seed
	}
	return uint64(time.Now().UnixNano() % 1e6)
}

// TestTermAtAnyMomentOfAnUpgradeIsAnOrderlyStop takes a sample of moments, too.
func TestTermAtAnyMomentOfAnUpgradeIsAnOrderlyStop(t *testing.T) {
	seed := seed()
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		t.Logf("AGENT_TEST_SEED=%d", seed)
		chance := rand.New(rand.NewPCG(seed, 0))
		s := ship.Launch(t, set)
		for range 4 {
			after := time.Duration(chance.Int64N(int64(1500 * time.Millisecond)))
			client := make(chan struct{})
			go func() {
				defer close(client)
				_, _ = s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: bytes.NewReader(s.Package(images.Second))})
			}()
			<-time.After(after) // when TERM comes is what is tested
			endsWith(s, fmt.Sprint("TERM ", after, " after the beginning of an upgrade"), 0, kill(s, "TERM"))
			<-client
			s.Must(s.Start(t.Context()))
			s.Must(s.Await(t.Context(), "a boot", ship.Patience, s.Healthy))
			if version := s.Status().Release.Version; version != images.Seed {
				s.Serves(images.Second) // it was committed
				s.Ends(s.Agent(nil, "rollback"), 0)
			}
			s.Serves(images.Seed)
		}
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
	})
}

// moments are in the first 20 ms, when there is hardly an agent yet, and in the two seconds of a boot.
func moments(chance *rand.Rand) (list []time.Duration) {
	if os.Getenv("AGENT_TEST_SHOTS") == "all" {
		for n := range 200 {
			list = append(list, time.Duration(n)*100*time.Microsecond)
		}
		for n := range 81 {
			list = append(list, time.Duration(n)*25*time.Millisecond)
		}
		return list
	}
	for range 4 {
		list = append(list, time.Duration(chance.Int64N(int64(20*time.Millisecond))))
	}
	for range 8 {
		list = append(list, time.Duration(chance.IntN(81))*25*time.Millisecond)
	}
	return list
}

// fire runs a container in which TERM comes at that moment. What comes before the agent has taken its signals over is
// not for it: the kernel keeps it from PID 1, or the Go runtime ends with 2. Then the container is asked once more.
func (s shot) fire() {
	t := s.ship.T
	t.Helper()
	c, err := s.ship.Session.Start(t.Context(), docker.Spec{
		Image: s.ship.Set.Image, Name: fmt.Sprint("shot", s.number),
		// A TERM that is lost has the node run to the end of its time, and a loaded machine has not.
		Options: []string{"-v", s.ship.Volume + ":/var/lib/release", "--entrypoint", "sh", "-e", "AGENT_STOP_TIMEOUT=1m"},
		Command: []string{"-c", fmt.Sprintf("(sleep %f; kill -TERM 1) & exec agent run", s.after.Seconds())},
	})
	s.ship.Must(err)
	status := s.end(c)
	log := c.Logs(t.Context())
	switch {
	case status == 2 && !strings.Contains(log, "agent: "):
	case status != 0 && status != 143:
		t.Errorf("TERM after %v: exit status %d\n%s", s.after, status, log)
	}
	s.ship.Must(c.Remove(t.Context()))
}

func (s shot) end(c *docker.Container) (status int) {
	t := s.ship.T
	t.Helper()
	brief, cancel := context.WithTimeout(t.Context(), s.after+4*time.Second)
	defer cancel()
	if status, err := c.Wait(brief); err == nil {
		return status
	}
	if !strings.Contains(c.Logs(t.Context()), "stopping the node ") {
		_ = c.Kill(t.Context(), "TERM") // unless it has just ended
	}
	status, err := c.Wait(t.Context())
	s.ship.Must(err)
	return status
}
