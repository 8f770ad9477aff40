package pid1_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// TestWhatPID1HoldsStaysFlat has an orphan and a question a second, and upgrades and rollbacks in turn. AGENT_TEST_SOAK
// says how long.
func TestWhatPID1HoldsStaysFlat(t *testing.T) {
	length := 2 * time.Minute
	if text := os.Getenv("AGENT_TEST_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		changes := make(chan int)
		go func() { changes <- change(ctx, s) }()
		var samples []ship.Sample
		for second := time.NewTicker(time.Second); ctx.Err() == nil; <-second.C {
			_, err := s.Output(t.Context(), "sh", "-c", "(sleep 0.3 &)")
			s.Must(err)
			s.Status()
			samples = append(samples, s.Sample())
		}
		n := <-changes
		s.Must(s.Await(t.Context(), "the end of the last orphan", ship.Patience, func(context.Context) error {
			if s.Status().Agent.Orphans < uint64(len(samples)) {
				return errNotYet
			}
			return nil
		}))
		ship.StaysFlat(t, samples)
		t.Logf("%d changes of the release, %d samples, the last %+v, orphans %d", n, len(samples), samples[len(samples)-1], s.Status().Agent.Orphans)
		if n < 2 {
			t.Errorf("%d changes of the release", n)
		}
		endsWith(s, "TERM", 0, kill(s, "TERM"))
	})
}

// change upgrades and rolls back in turn, and returns how often.
func change(ctx context.Context, s *ship.Ship) (n int) {
	for ; ctx.Err() == nil; n++ {
		verb := docker.Exec{Args: []string{"agent", "rollback"}}
		if n%2 == 0 {
			verb = docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: strings.NewReader(string(s.Package(images.Second)))}
		}
		if n > 1 && n%2 == 0 { // it is on the volume by now
			verb = docker.Exec{Args: []string{"agent", "rollback", images.Second}}
		}
		if status, err := s.Exec(context.WithoutCancel(ctx), verb); err != nil || status != 0 {
			s.T.Errorf("change %d ended with %d, %v", n, status, err)
			return n
		}
	}
	return n
}
