package load

import (
	"sync"
	"time"
)

// Report is what the clients of one run lived through.
type Report struct {
	Total    Phase
	Phases   []Phase // in the order of their marks
	HTTP     Clients
	Sessions Clients
}

// Clients counts the clients of one kind.
type Clients struct {
	Opened    int // one connection each
	Kept      int // whose first connection served from start to end
	StateKept int // whose counter never went any way but up by one
	Losses    []string
}

// Phase is the part of a run between two marks; a request belongs to the phase in which it ended.
type Phase struct {
	Name     string
	Duration time.Duration
	Requests int            // that were answered or failed
	Failed   int            // all kinds together
	Failures map[string]int // refused, timeout, closed, garbled, "status 503"
	Dropped  int            // connections
	Lost     int            // replies that contradicted the state the client had before

	// Latencies of good replies, counted from when their requests were due.
	P50, P99, P999, Max time.Duration
	// LongestPause is the longest that any single client went without a good reply while it was due
	// one: the largest latency, or more where requests failed in between.
	LongestPause time.Duration
}

// Lossless tells whether no request failed, no connection was dropped and no state was lost.
func (r *Report) Lossless() bool {
	return r.Total.Failed == 0 && r.Total.Dropped == 0 && r.Total.Lost == 0
}

// recorder collects the outcomes of all clients.
type recorder struct {
	mu      sync.Mutex
	tallies []*tally
}

type tally struct {
	Phase
	start     time.Time
	latencies histogram
}

func newRecorder() *recorder { return &recorder{} }

func (r *recorder) begin(phase string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(now)
	r.tallies = append(r.tallies, newTally(phase, now))
}

func newTally(phase string, now time.Time) *tally {
	return &tally{Phase: Phase{Name: phase, Failures: map[string]int{}}, start: now}
}

func (r *recorder) end(now time.Time) {
	if len(r.tallies) > 0 {
		last := r.tallies[len(r.tallies)-1]
		last.Duration = now.Sub(last.start)
	}
}

// current hands out the tally of the running phase with the recorder locked.
func (r *recorder) current(update func(*tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	update(r.tallies[len(r.tallies)-1])
}

func (r *recorder) reply(latency, pause time.Duration) {
	r.current(func(t *tally) {
		t.Requests++
		t.latencies.add(latency)
		t.LongestPause = max(t.LongestPause, pause)
	})
}

func (r *recorder) failure(kind string) {
	r.current(func(t *tally) {
		t.Requests++
		t.Failed++
		t.Failures[kind]++
	})
}

func (r *recorder) drop() { r.current(func(t *tally) { t.Dropped++ }) }

func (r *recorder) loss() { r.current(func(t *tally) { t.Lost++ }) }

func (r *recorder) pause(d time.Duration) {
	r.current(func(t *tally) { t.LongestPause = max(t.LongestPause, d) })
}

func (r *recorder) report(clients []*client) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.end(now)
	total := newTally("total", r.tallies[0].start)
	report := &Report{}
	for _, t := range r.tallies {
		total.add(t)
		report.Phases = append(report.Phases, t.summary())
	}
	total.Duration = now.Sub(total.start)
	report.Total = total.summary()
	report.HTTP, report.Sessions = count(clients, kindHTTP), count(clients, kindSession)
	return report
}

func (t *tally) add(other *tally) {
	t.Requests += other.Requests
	t.Failed += other.Failed
	for kind, n := range other.Failures {
		t.Failures[kind] += n
	}
	t.Dropped += other.Dropped
	t.Lost += other.Lost
	t.latencies.merge(&other.latencies)
	t.LongestPause = max(t.LongestPause, other.LongestPause)
}

func (t *tally) summary() Phase {
	p := t.Phase
	p.P50, p.P99, p.P999 = t.latencies.quantile(.5), t.latencies.quantile(.99), t.latencies.quantile(.999)
	p.Max = t.latencies.max
	return p
}

// shownLosses bounds the examples in a report.
const shownLosses = 5

func count(clients []*client, k kind) Clients {
	var n Clients
	for _, c := range clients {
		if c.kind != k {
			continue
		}
		n.Opened++
		if c.drops == 0 {
			n.Kept++
		}
		if c.lost == "" {
			n.StateKept++
		} else if len(n.Losses) < shownLosses {
			n.Losses = append(n.Losses, c.lost)
		}
	}
	return n
}

// Lost returns how many clients found their counter changed.
func (c Clients) Lost() int { return c.Opened - c.StateKept }
