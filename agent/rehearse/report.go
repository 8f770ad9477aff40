package rehearse

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Report is what a rehearsal has found. As JSON fields are only ever added.
type Report struct {
	Old      Release       `json:"old"`
	New      Release       `json:"new"`
	Passed   bool          `json:"passed"` // everything was done that there is to do, and nothing was found
	Error    string        `json:"error,omitempty"`
	Acts     []Act         `json:"acts"`
	Began    time.Time     `json:"began"`
	Duration time.Duration `json:"duration_ns"`
}

// Release is one side of it.
type Release struct {
	Name    string `json:"name"`
	Version string `json:"version"` // empty where it never ran
	Package string `json:"package"`
}

// Act is one part of a rehearsal.
type Act struct {
	Name     string        `json:"name"`
	Outcome  Outcome       `json:"outcome"`
	Why      string        `json:"why,omitempty"` // it was skipped
	Duration time.Duration `json:"duration_ns"`
	Findings []Finding     `json:"findings,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // what is true, and no mistake
	Reports  Reports       `json:"reports"`
}

// Outcome is how an act ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed" // something was found
	Skipped Outcome = "skipped"
)

// Finding is one thing that is not as it should be. Kinds are stable words; those of a comparison are those of package drift.
type Finding struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
	Text    string `json:"text"`
}

// The kinds of findings that are no difference between two nodes.
const (
	BootFailed       = "boot-failed"       // the node does not come up
	UpgradeRefused   = "upgrade-refused"   // nothing was changed; the subject is the code of the refusal
	UpgradeFailed    = "upgrade-failed"    // it was begun, and did not go through; the subject is the code
	RollbackFailed   = "rollback-failed"   // likewise
	CrashReport      = "crash-report"      // a process crashed, and none does in a fresh boot; the subject is what it ran
	SupervisorReport = "supervisor-report" // likewise of a supervisor; the subject names it and the child
	ProbeFailed      = "probe-failed"      // the subject is the probe
	ProbeDiffers     = "probe-differs"     // likewise: what it says after a way in service is not what it said before
	LoadFailed       = "load-failed"       // the load ended by itself or with an error
	NodeLost         = "node-lost"         // a node that was up, or its agent, has ended or does not answer
	WrongRelease     = "wrong-release"     // after a kill something else than the old or the new release boots
	TimedOut         = "timed-out"         // the act took longer than it may
)

// Reports are what a node has logged in an act: with level error, or worse.
type Reports struct {
	Crash      int      `json:"crash"`
	Supervisor int      `json:"supervisor"`
	Errors     int      `json:"errors"`          // all others
	First      []string `json:"first,omitempty"` // of those that are no findings
}

func (a *Act) find(kind, subject, format string, args ...any) {
	a.Findings = append(a.Findings, Finding{Kind: kind, Subject: subject, Text: fmt.Sprintf(format, args...)})
}

// findOnce leaves out what was found of this subject before.
func (a *Act) findOnce(kind, subject, format string, args ...any) {
	if !slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Kind == kind && f.Subject == subject }) {
		a.find(kind, subject, format, args...)
	}
}

func (a *Act) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}

// close gives the act its outcome, unless it was skipped.
func (a *Act) close(took time.Duration) {
	a.Duration = took
	switch {
	case len(a.Findings) > 0:
		a.Outcome = Failed
	case a.Outcome == "":
		a.Outcome = Passed
	}
}

// end sums up.
func (r *Report) end(begun time.Time, err error) {
	r.Began, r.Duration = begun, time.Since(begun)
	if r.Acts == nil {
		r.Acts = []Act{}
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Passed = err == nil && r.Findings() == 0
}

// Findings counts them.
func (r Report) Findings() (n int) {
	for _, a := range r.Acts {
		n += len(a.Findings)
	}
	return n
}

// String names it by its package where it never ran.
func (r Release) String() string {
	if r.Version == "" {
		return filepath.Base(r.Package)
	}
	return r.Name + " " + r.Version
}

// title names what was rehearsed.
func (r Report) title() string { return fmt.Sprintf("%s to %s", r.Old, r.New) }

// String counts the reports in words; empty where there are none.
func (r Reports) String() string {
	var words []string
	for _, c := range []struct {
		n    int
		what string
	}{{r.Crash, "crash reports"}, {r.Supervisor, "supervisor reports"}, {r.Errors, "errors"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%s: %d", c.what, c.n))
		}
	}
	return strings.Join(words, ", ")
}
