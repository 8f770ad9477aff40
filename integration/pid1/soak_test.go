package pid1_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// sample is what PID 1 holds at a moment.
type sample struct{ rss, fds, threads, zombies int }

// measure prints a sample. A zombie counts when it is there 200 ms later as well.
const measure = `
zombies() { for p in /proc/[0-9]*; do read -r s <$p/stat && case "$s" in *") Z "*) echo $p;; esac; done 2>/dev/null; }
first=$(zombies); sleep 0.2; n=0; for p in $(zombies); do case "$first" in *$p*) n=$((n+1));; esac; done
echo $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p; s/^Threads:[^0-9]*//p' /proc/1/status) $(ls /proc/1/fd | wc -l) $n`

func take(s *ship.Ship) (m sample) {
	s.T.Helper()
	out, err := s.Output(s.T.Context(), "sh", "-c", measure)
	s.Must(err)
	_, err = fmt.Sscan(out, &m.rss, &m.threads, &m.fds, &m.zombies)
	s.Must(err)
	return m
}

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
		var samples []sample
		for second := time.NewTicker(time.Second); ctx.Err() == nil; <-second.C {
			_, err := s.Output(t.Context(), "sh", "-c", "(sleep 0.3 &)")
			s.Must(err)
			s.Status()
			samples = append(samples, take(s))
		}
		n := <-changes
		flat(t, samples)
		t.Logf("%d changes of the release, %d samples, the last %+v, orphans %d", n, len(samples), samples[len(samples)-1], s.Status().Agent.Orphans)
		if orphans := s.Status().Agent.Orphans; n < 2 || orphans < uint64(len(samples)) {
			t.Errorf("%d changes of the release, %d orphans in %d samples", n, orphans, len(samples))
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

// flat compares the last third with the middle one; the first is for what is allocated once.
func flat(t *testing.T, samples []sample) {
	t.Helper()
	third := len(samples) / 3
	for what, c := range map[string]struct {
		of    func(sample) int
		slack int
	}{
		"KiB of memory": {func(s sample) int { return s.rss }, 4096},
		"open files":    {func(s sample) int { return s.fds }, 4},
		"threads":       {func(s sample) int { return s.threads }, 4},
	} {
		most := func(list []sample) (m int) {
			for _, s := range list {
				m = max(m, c.of(s))
			}
			return m
		}
		if before, after := most(samples[third:2*third]), most(samples[2*third:]); after > before+c.slack {
			t.Errorf("%s grew from %d to %d", what, before, after)
		}
	}
	if i := slices.IndexFunc(samples, func(s sample) bool { return s.zombies > 0 }); i >= 0 {
		t.Errorf("sample %d of %d has %d zombies", i, len(samples), samples[i].zombies)
	}
}
