package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSteadyServiceLosesNothing(t *testing.T) {
	g := start(t, startService(t))
	waitReplies(t, g, 300)
	r := g.Stop()

	if !r.Lossless() {
		t.Errorf("a service without fault was reported as lossy: %+v", r)
	}
	want := Clients{Opened: 20, Kept: 20, StateKept: 20}
	if diff := cmp.Diff(want, r.Sessions); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	want = Clients{Opened: 10, Kept: 10, StateKept: 10}
	if diff := cmp.Diff(want, r.HTTP); diff != "" {
		t.Errorf("HTTP clients (-want +got):\n%s", diff)
	}
}

// Every client was due ten questions in the half second. A generator that waits for each reply before it
// plans the next question would count one slow reply of each.
func TestStallIsSeenByEveryRequestDueInIt(t *testing.T) {
	const stall = 500 * time.Millisecond
	s := startService(t)
	g := start(t, s)
	waitReplies(t, g, 300)

	g.Mark("stall")
	s.pause.Lock()
	resumed := time.NewTimer(stall)
	<-resumed.C
	s.pause.Unlock()
	waitReplies(t, g, 250)
	r := g.Stop()

	const least = stall - stall/10 // the first request may be due a moment after the stall begins
	p := r.Phases[1]
	if p.Max < least || p.LongestPause < least {
		t.Errorf("max %v and longest pause %v, want at least %v", p.Max, p.LongestPause, least)
	}
	if n := slower(g, stall/10); n < 3*int64(r.HTTP.Opened+r.Sessions.Opened) {
		t.Errorf("%d requests were slow in a stall of %v: they were not counted from when they were due", n, stall)
	}
	if !r.Lossless() {
		t.Errorf("late is not lost, yet: %+v", r.Total)
	}
}

func TestDroppedConnectionsCountOnceAndForGood(t *testing.T) {
	s := startService(t)
	g := start(t, s)
	waitReplies(t, g, 300)
	g.Mark("drop")
	s.dropSessions()
	wait(t, "20 drops", func() bool { return ended(g).Dropped >= 20 })
	waitReplies(t, g, 300)
	r := g.Stop()

	want := Clients{Opened: 20, Kept: 0, StateKept: 20}
	if diff := cmp.Diff(want, r.Sessions); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if r.Total.Dropped != 20 || r.Phases[1].Dropped != 20 {
		t.Errorf("dropped %d, in its phase %d, want 20", r.Total.Dropped, r.Phases[1].Dropped)
	}
}

func TestForgottenStateIsReportedByItsOwner(t *testing.T) {
	s := startService(t)
	g := start(t, s)
	wait(t, "counters of all clients", func() bool { return s.counters() == 30 })
	s.forget()
	wait(t, "30 losses", func() bool { return ended(g).Lost >= 30 })
	r := g.Stop()

	want := Clients{Opened: 20, Kept: 20, StateKept: 0}
	if diff := cmp.Diff(want, r.Sessions, cmpopts.IgnoreFields(Clients{}, "Losses")); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if r.HTTP.StateKept != 0 || r.Lossless() {
		t.Errorf("forgotten counters of HTTP clients were not noticed: %+v", r.HTTP)
	}
}

func TestRefusalsFailWithoutDroppingTheConnection(t *testing.T) {
	s := startService(t)
	g := start(t, s)
	waitReplies(t, g, 300)
	s.answerWith(503)
	waitReplies(t, g, 300)
	s.answerWith(200)
	waitReplies(t, g, 300)
	r := g.Stop()

	if r.Total.Failed == 0 || r.Total.Failures["status 503"] != r.Total.Failed {
		t.Errorf("failures %v, want some, all of them status 503", r.Total.Failures)
	}
	want := Clients{Opened: 10, Kept: 10, StateKept: 10}
	if diff := cmp.Diff(want, r.HTTP); diff != "" {
		t.Errorf("HTTP clients (-want +got):\n%s", diff)
	}
}

func TestPauseSpansTheRequestsThatFailedInIt(t *testing.T) {
	s := startService(t)
	g := start(t, s)
	waitReplies(t, g, 300)
	s.answerWith(503)
	begun := time.Now()
	waitReplies(t, g, 600)
	refused := time.Since(begun)
	s.answerWith(200)
	waitReplies(t, g, 300)
	r := g.Stop()

	if r.Total.LongestPause < refused/2 {
		t.Errorf("longest pause %v with a longest latency of %v, though everything was refused for %v: failed requests ended it", r.Total.LongestPause, r.Total.Max, refused)
	}
}

func TestStartNeedsEveryConnection(t *testing.T) {
	s := startService(t)
	cfg := s.config()
	cfg.HTTP = "127.0.0.1:1"
	if _, err := Start(t.Context(), cfg); err == nil {
		t.Error("a load without service has started")
	}
}

func TestSequenceAllowsOnlyTheDoubtOfLostReplies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		asked int
		value int64
		ok    bool
	}{
		{"next", 1, 8, true},
		{"repeated", 1, 7, false},
		{"skipped", 1, 9, false},
		{"lost reply that counted", 2, 9, true},
		{"lost reply that did not count", 2, 8, true},
		{"more than was asked", 2, 10, false},
		{"started again", 1, 1, false},
	} {
		s := sequence{last: 7}
		for range tt.asked {
			s.asked()
		}
		if err := s.counted(tt.value); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func start(t *testing.T, s *service) *Generator {
	t.Helper()
	g, err := Start(t.Context(), s.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.stop)
	return g
}

// waitReplies waits until n more requests have ended.
func waitReplies(t *testing.T, g *Generator, n int) {
	t.Helper()
	want := ended(g).Requests + n
	wait(t, fmt.Sprint(want, " requests that have ended"), func() bool { return ended(g).Requests >= want })
}

func wait(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !fact(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("there are not %s", what)
		}
	}
}

// ended is what has ended so far, in all phases.
func ended(g *Generator) *tally {
	g.record.mu.Lock()
	defer g.record.mu.Unlock()
	total := newTally("so far", time.Time{})
	for _, tally := range g.record.tallies {
		total.add(tally)
	}
	return total
}

// slower counts the good replies that took longer.
func slower(g *Generator, than time.Duration) (n int64) {
	for _, of := range ended(g).latencies.counts[bucket(than)+1:] {
		n += of
	}
	return n
}
