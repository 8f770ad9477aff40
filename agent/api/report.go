package api

import (
	"context"
	"net/url"
	"time"
)

// LastReport names the newest report.
const LastReport = "last"

// Report is the proof of an upgrade, an installation, a rollback or an unpacking: what was decided and done, and what the node
// was before, in between and at the end. What could not be seen is missing. Durations are nanoseconds, sizes bytes.
type Report struct {
	ID       string         `json:"id"`
	Kind     string         `json:"kind"` // upgrade, install, rollback, unpack
	Began    time.Time      `json:"began"`
	Result   *Result        `json:"result,omitempty"` // missing while it is under way
	Plan     map[string]any `json:"plan,omitempty"`   // what upgrade.planned says
	Steps    []Step         `json:"steps"`
	Pictures []Picture      `json:"pictures,omitempty"` // of an installation, in the order in which they were taken
	Seen     *Seen          `json:"seen,omitempty"`
	Lost     *Lost          `json:"lost,omitempty"` // where the node ended
}

// Step is an event. Those of the upgrade itself say how long it took since the one before; others happened meanwhile.
type Step struct {
	Time    time.Time     `json:"time"`
	Kind    string        `json:"kind"`
	Message string        `json:"message"`
	Took    time.Duration `json:"took_ns,omitempty"`
	Beside  bool          `json:"beside,omitempty"` // it is no step of the upgrade
}

// Picture is the node at a moment.
type Picture struct {
	Time    time.Time     `json:"time"`
	Moment  string        `json:"moment"` // before, installed, restarted, probation, end
	Version string        `json:"version,omitempty"`
	PID     int           `json:"pid,omitempty"` // 0: there was no node
	Up      time.Duration `json:"up_ns,omitempty"`
	// Connections are the established TCP connections that the node's process holds, that of the agent excepted. Closed and
	// Opened compare them with the picture before, whichever side it was.
	Connections *int64 `json:"connections,omitempty"`
	Closed      *int64 `json:"closed,omitempty"`
	Opened      *int64 `json:"opened,omitempty"`
	Processes   *int64 `json:"processes,omitempty"`
	Ports       *int64 `json:"ports,omitempty"`
	Memory      *int64 `json:"memory,omitempty"`    // erlang:memory(total)
	RSS         *int64 `json:"rss,omitempty"`       // of the node's process
	AgentRSS    *int64 `json:"agent_rss,omitempty"` // of the agent's
	// OldCode are the processes that run code which was replaced; Unread says that there was no time to look at all modules.
	OldCode []OldCode `json:"old_code,omitempty"`
	Unread  int64     `json:"unread,omitempty"`
}

// OldCode is how many processes run the old code of a module.
type OldCode struct {
	Module    string `json:"module"`
	Processes int64  `json:"processes"`
}

// Seen is what the node did from the first picture to the last.
type Seen struct {
	Call         time.Duration `json:"call_ns,omitempty"` // of evaluating the relups
	Instructions []Instruction `json:"instructions,omitempty"`
	Suspended    []Suspension  `json:"suspended,omitempty"` // longest first
	Crashes      int64         `json:"crash_reports"`
	Supervisors  int64         `json:"supervisor_reports"`
	Restarts     int64         `json:"child_restarts"` // supervisors that said a child of theirs has ended
	Purged       int64         `json:"purged"`         // processes in old code that were killed
	Reports      []string      `json:"reports,omitempty"`
}

// Instruction is one of a relup, and how long it took.
type Instruction struct {
	Text string        `json:"text"`
	Took time.Duration `json:"took_ns"`
}

// Suspension says that no process of a module was suspended for longer: it is from the beginning of the instruction that
// suspends all of them to the end of the one that resumes them.
type Suspension struct {
	Module string        `json:"module"`
	Most   time.Duration `json:"most_ns"`
}

// Lost is what ended with the node, as the last picture before that has it.
type Lost struct {
	Up          time.Duration `json:"up_ns"`
	Connections *int64        `json:"connections,omitempty"`
	Processes   *int64        `json:"processes,omitempty"` // with all that they knew
}

// Report returns that of an upgrade, or of the last one.
func (c *Client) Report(ctx context.Context, id string) (Report, error) {
	return get[Report](ctx, c, "/v1/history/"+url.PathEscape(id))
}
