// Package proof is what an upgrade leaves behind to be read afterwards: the events as steps with durations, pictures of the
// node before, in between and at the end, and what a witness in the node has seen meanwhile (witness.exprs).
package proof

import (
	"slices"
	"strings"
	"sync"
	"time"

	"theseus/agent/api"
)

// mostSteps bounds a report, also of an attempt in which the node was restarted for days.
const mostSteps = 200

// Record is the report of an attempt that is under way.
type Record struct {
	mu      sync.Mutex
	report  api.Report
	sockets []uint64 // of the picture before
	before  api.Seen // what witnesses of earlier incarnations have seen
	witness *witness
}

// NewRecord begins with the first event of an attempt.
func NewRecord(e api.Event) *Record {
	r := &Record{report: api.Report{ID: e.Upgrade, Began: e.Time}}
	r.Add(e)
	return r
}

// Add notes an event. One of another upgrade, or of none, is something that happened beside.
func (r *Record) Add(e api.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.report, e)
}

// Begun says that the attempt came as far as the node, so that its report has what no event tells.
func (r *Record) Begun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.report.Pictures) > 0
}

// ID is the attempt's.
func (r *Record) ID() string { return r.report.ID }

// Report is a copy of what is known by now.
func (r *Record) Report() api.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Steps, report.Pictures = slices.Clone(report.Steps), slices.Clone(report.Pictures)
	report.Lost = lost(report)
	return report
}

// add is the fold of an attempt's events.
func add(r *api.Report, e api.Event) {
	beside := e.Upgrade != r.ID
	if !beside {
		read(r, e)
	}
	if len(r.Steps) >= mostSteps && e.Result == nil {
		return
	}
	s := api.Step{Time: e.Time, Kind: e.Kind, Message: e.Message, Beside: beside}
	if !beside {
		s.Took = max(0, e.Time.Sub(last(r)))
	}
	r.Steps = append(r.Steps, s)
}

// read takes from an event of the attempt what is true of all of it.
func read(r *api.Report, e api.Event) {
	switch {
	case e.Kind == "upgrade.planned":
		r.Plan = e.Attrs
	case e.Result != nil:
		r.Kind, _, _ = strings.Cut(e.Kind, ".")
		r.Result = e.Result
		r.Began = e.Time.Add(-e.Result.Duration)
		if len(r.Steps) > 0 && r.Steps[0].Took == 0 {
			r.Steps[0].Took = max(0, r.Steps[0].Time.Sub(r.Began))
		}
	}
}

// last is when the step before was done.
func last(r *api.Report) time.Time {
	for _, s := range slices.Backward(r.Steps) {
		if !s.Beside {
			return s.Time
		}
	}
	return r.Began
}

// lost compares the incarnations in the pictures. Where the agent ended with the node, only the first of them is known.
func lost(r api.Report) *api.Lost {
	for i, p := range r.Pictures {
		over := i+1 < len(r.Pictures) && r.Pictures[i+1].PID != p.PID
		if over || i+1 == len(r.Pictures) && r.Result != nil && r.Result.Restart {
			return &api.Lost{Up: p.Up, Connections: p.Connections, Processes: p.Processes}
		}
	}
	return nil
}

// Over says whether nothing can follow a result: a probation is no end, and what an agent's end has interrupted the next start takes back.
func Over(r *api.Result) bool {
	return r != nil && r.Outcome != api.Probation && r.Outcome != api.Interrupted
}

// Fold makes a report of what the history has of an attempt, and of what was kept of it when the agent ended in its middle. It
// is nil where there is nothing.
func Fold(id string, events []api.Event, kept *api.Report) *api.Report {
	r := api.Report{ID: id}
	if kept != nil {
		r.Pictures, r.Seen = kept.Pictures, kept.Seen
	}
	ended := false
	for _, e := range events {
		if e.Upgrade != id && (ended || len(r.Steps) == 0 || e.Upgrade != "") {
			continue
		}
		if len(r.Steps) == 0 {
			r.Began = e.Time
		}
		add(&r, e)
		ended = ended || Over(e.Result)
	}
	if len(r.Steps) == 0 {
		return kept
	}
	r.Lost = lost(r)
	return &r
}
