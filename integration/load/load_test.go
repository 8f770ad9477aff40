package load

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

// patience is how long a test waits for a fact on a loaded machine.
const patience = 3 * time.Minute

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
	eventually(t, "half of the 300 requests that were due in the stall are late", func() bool { return late(g, stall/10) >= 150 })
	r := g.Stop()

	const least = stall - stall/10 // the first request may be due a moment after the stall begins
	p := r.Phases[1]
	if p.Max < least || p.LongestPause < least {
		t.Errorf("max %v and longest pause %v, want at least %v", p.Max, p.LongestPause, least)
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
	eventually(t, "each client has a state", func() bool { return s.states() == 30 })
	s.forget()
	eventually(t, "each client has lost it", func() bool { return lost(g) == 30 })
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
	want := ended(g) + n
	eventually(t, fmt.Sprintf("%d requests have ended", want), func() bool { return ended(g) >= want })
}

// eventually waits until fact holds.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !fact(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

// sum adds up what each phase so far has counted.
func sum(g *Generator, counted func(*tally) int) (n int) {
	g.record.mu.Lock()
	defer g.record.mu.Unlock()
	for _, tally := range g.record.tallies {
		n += counted(tally)
	}
	return n
}

func ended(g *Generator) int { return sum(g, func(t *tally) int { return t.Requests }) }

func lost(g *Generator) int { return sum(g, func(t *tally) int { return t.Lost }) }

// late are the replies of the stall that came at least so long after their requests were due.
func late(g *Generator, least time.Duration) int {
	return sum(g, func(t *tally) (n int) {
		for i, count := range t.latencies.counts {
			if t.Name == "stall" && bucketEnd(i) >= least {
				n += int(count)
			}
		}
		return n
	})
}
