// Package api is the agent's control socket as its clients see it: the requests, the answers, the events,
// and a Client in Go. The wire is HTTP/1.1 and JSON over a unix socket, so that curl is a client too;
// docs/api.md describes it. Fields are only ever added.
package api

import (
	"fmt"
	"strings"
	"time"
)

// DefaultSocket is where the agent listens unless it is told otherwise.
const DefaultSocket = "/run/agent/agent.sock"

// Event is one thing that happened. Kinds are in the past tense: package.received, node.installed,
// upgrade.reverted. The same event goes to the history, the log and the client's stream.
type Event struct {
	Time    time.Time      `json:"time"`
	Upgrade string         `json:"upgrade,omitempty"` // id of the upgrade that it belongs to
	Kind    string         `json:"kind"`
	Message string         `json:"message"`
	Attrs   map[string]any `json:"attrs,omitempty"`
	Result  *Result        `json:"result,omitempty"` // only on the last event of a stream
	Error   *Error         `json:"error,omitempty"`  // what went wrong, on an event that says so
}

// KindProgress marks events that only move a progress line: attrs done and total, in bytes.
// They are neither logged nor kept.
const KindProgress = "progress"

// Outcome says how an upgrade or a rollback ended.
type Outcome string

// The outcomes.
const (
	Committed Outcome = "committed" // the new release runs and is permanent
	Refused   Outcome = "refused"   // nothing was changed: the request cannot be done
	Aborted   Outcome = "aborted"   // stopped before the installation; the old release runs on
	Reverted  Outcome = "reverted"  // installed or half installed, then taken back; the old release runs. Without an error it was asked for
	Broken    Outcome = "broken"    // the node runs neither release; see the error
	Probation Outcome = "probation" // the new release runs until somebody commits it or takes it back; see CommitBy
	Unpacked  Outcome = "unpacked"  // it is on the volume, as was asked for, and nothing was installed

	// Interrupted is an installation in the middle of which the agent was told to stop; its next start boots the old
	// release, and ends the attempt as Reverted.
	Interrupted Outcome = "interrupted"
)

// Result ends the stream of an upgrade or a rollback.
type Result struct {
	ID       string        `json:"id"`
	Outcome  Outcome       `json:"outcome"`
	Name     string        `json:"name"`
	From     string        `json:"from"`
	To       string        `json:"to"`
	Running  string        `json:"running"`            // the version that runs now; empty when none does
	Restart  bool          `json:"restart"`            // the node was restarted on the way
	Duration time.Duration `json:"duration_ns"`        // whole upgrade, receiving included
	Warnings []string      `json:"warnings,omitempty"` // true now, and worth knowing
	Via      []string      `json:"via,omitempty"`      // releases on the way from one to the other
	CommitBy time.Time     `json:"commit_by,omitzero"` // of Probation: when the old release is brought back
	Error    *Error        `json:"error,omitempty"`    // why it is not as was asked for
}

// Way tells what it was before, and over which releases it went.
func (r Result) Way() string {
	if len(r.Via) == 0 {
		return "was " + r.From
	}
	return "was " + r.From + ", over " + strings.Join(r.Via, ", ")
}

// Error is how every failure is told over the socket.
type Error struct {
	Code    string `json:"code"`            // a stable word, see docs/api.md
	Message string `json:"message"`         // what could not be done, and why
	Hint    string `json:"hint,omitempty"`  // the way out, where there is one
	State   string `json:"state,omitempty"` // what is true now
}

func (e *Error) Error() string {
	if e.State == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.State)
}

// Codes that a client may branch on. Refusals of a package carry the codes of package volume.
const (
	CodeBusy         = "busy"          // another upgrade is under way
	CodeNotRunning   = "not-running"   // no agent answers on the socket
	CodeNodeDown     = "node-down"     // the agent runs, its node does not
	CodeNeedsRestart = "needs-restart" // only a restart leads there, and none was allowed
	CodeNoRelup      = "no-relup"      // the same, for the package has no relup from what runs
	CodeBadRequest   = "bad-request"
	CodeForbidden    = "forbidden"
	CodeNotFound     = "not-found"
	CodeInternal     = "internal"
	CodeStopping     = "stopping"
	CodeTimeout      = "timeout"
	CodeBadRPC       = "badrpc"    // the called function failed in the node
	CodeException    = "exception" // an expression failed in the node
	CodeSyntax       = "syntax"    // expressions that cannot be evaluated
	CodeTooLarge     = "too-large" // of a package, and of what a called function returned

	CodeNoSuchRelease    = "no-such-release"   // it is not on the volume
	CodeReleaseCurrent   = "release-current"   // it runs
	CodeReleasePermanent = "release-permanent" // it is what boots
	CodeRollbackTarget   = "rollback-target"   // a rollback leads there
	CodeRecordDrift      = "record-drift"      // release_handler believes something else
	CodeRollbackPath     = "rollback-path"     // a rollback leads over it
	CodeDrift            = "drift"             // the node is not what was installed
	CodeChildNotStarted  = "child-not-started" // one that the relup has its supervisor start does not run
	CodeNoSuchUpgrade    = "no-such-upgrade"   // neither a report nor the history has it
	CodeNotOnProbation   = "not-on-probation"  // there is nothing to commit
	CodeGateFailed       = "gate-failed"       // the system is not well
	CodeUnusableGates    = "unusable-gates"    // what is to be asked cannot be read
)

// Status answers GET /v1/status.
type Status struct {
	Release Release  `json:"release"` // what runs, or what the agent is about to run
	Node    Node     `json:"node"`
	Volume  Volume   `json:"volume"`
	Boot    Boot     `json:"boot"`              // why this release was booted
	Upgrade *Upgrade `json:"upgrade,omitempty"` // the one under way
	// Quarantined are the releases on the volume that were given up, and those that an upgrade to them took off it since the one
	// that boots became permanent; the status of these is removed.
	Quarantined []Release `json:"quarantined,omitempty"`
	Agent       Agent     `json:"agent"`
}

// Node states.
const (
	NodeBooting    = "booting"    // launched; its applications are starting
	NodeRunning    = "running"    // all applications of the release run
	NodeStopping   = "stopping"   // told to stop
	NodeDown       = "down"       // no process
	NodeRestarting = "restarting" // no process; it is launched again at Restarts.Next
)

// Node is the BEAM as the agent sees it.
type Node struct {
	State    string    `json:"state"`
	Name     string    `json:"name"`
	PID      int       `json:"pid,omitempty"`
	Since    time.Time `json:"since,omitzero"` // of this incarnation's launch
	Restarts Restarts  `json:"restarts"`
	Notice   *Notice   `json:"notice,omitempty"` // where AGENT_NODE_NOTIFY is on
}

// Notice is what this incarnation of the node has said of itself, with sd_notify.
type Notice struct {
	Ready    bool      `json:"ready"`
	Stopping bool      `json:"stopping"`
	Status   string    `json:"status,omitempty"`
	Beat     time.Time `json:"beat,omitzero"` // its last WATCHDOG=1
}

// Restarts are the launches of the node after its first one, whoever asked for them.
type Restarts struct {
	Count int       `json:"count"`          // since the agent's start
	Last  string    `json:"last,omitempty"` // how the node ended before the last of them
	At    time.Time `json:"at,omitzero"`    // when that was
	Next  time.Time `json:"next,omitzero"`  // when a node that is down is launched again
}

// Volume is the release root.
type Volume struct {
	Root     string `json:"root"`
	Current  string `json:"current"`            // boots after a restart
	Previous string `json:"previous,omitempty"` // where a rollback leads that names no version; empty after a rollback
}

// Boot is the decision that the agent took when it started.
type Boot struct {
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// Upgrade is one that is under way.
type Upgrade struct {
	ID    string   `json:"id"`
	Kind  string   `json:"kind"` // upgrade, unpack, install, rollback or removal
	State string   `json:"state"`
	From  string   `json:"from"`
	To    string   `json:"to,omitempty"`
	Via   []string `json:"via,omitempty"` // releases on the way from one to the other
	// CommitBy is set while the new release waits to be committed: when the old one is brought back instead.
	CommitBy time.Time `json:"commit_by,omitzero"`
	// Revocable is set while a rollback ends it: the new release settles, or waits to be committed.
	Revocable bool `json:"revocable,omitempty"`
}

// Waits says that nothing is done, but what is asked for: a commit, or the way back.
func (u Upgrade) Waits() bool { return !u.CommitBy.IsZero() }

// String is what an operator reads of it.
func (u Upgrade) String() string {
	if u.To == "" {
		return u.begins()
	}
	to := u.To
	if len(u.Via) > 0 {
		to += " over " + strings.Join(u.Via, ", ")
	}
	if u.Waits() {
		return fmt.Sprintf("%s from %s to %s waits until %s UTC: agent commit makes %s permanent, agent rollback takes it back",
			u.ID, u.From, to, u.CommitBy.UTC().Format(time.DateTime), u.To)
	}
	text := fmt.Sprintf("%s from %s to %s is under way: %s", u.ID, u.From, to, u.State)
	if u.Revocable {
		text += "; agent rollback takes it back"
	}
	return text
}

// begins is String where nobody knows yet where it leads. A removal leads nowhere.
func (u Upgrade) begins() string {
	text := fmt.Sprintf("%s from %s is under way: %s", u.ID, u.From, u.State)
	switch {
	case u.Kind == "removal":
		return u.ID + " is under way: a release is removed"
	case u.State == "requested" && (u.Kind == "upgrade" || u.Kind == "unpack"):
		text += ", its package is coming"
	}
	return text
}

// Agent is the agent itself.
type Agent struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Orphans uint64    `json:"orphans_reaped"`
	Signed  bool      `json:"signed"` // packages need a signature
}

// Release is one release on the volume.
type Release struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Status   string    `json:"status,omitempty"` // permanent, current, old or unpacked, as release_handler uses them
	ERTS     string    `json:"erts,omitempty"`
	SHA256   string    `json:"sha256,omitempty"` // of its package
	Size     int64     `json:"size,omitempty"`   // of its package, bytes
	Unpacked time.Time `json:"unpacked,omitzero"`
	SignedBy string    `json:"signed_by,omitempty"` // id of the key that verified its package
	Comment  string    `json:"comment,omitempty"`   // that the signature covers
	Failed   string    `json:"failed,omitempty"`    // why an upgrade to it was reverted, or it was given up
	// Quarantined is when it was given up because it did not boot, or an upgrade to it failed; nothing boots it or leads over it
	// unless somebody asks for it.
	Quarantined time.Time `json:"quarantined,omitzero"`
}

// Removed answers DELETE /v1/releases/VERSION.
type Removed struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Bytes   int64  `json:"bytes"` // that are free again
}

// Gates answers POST /v1/gates.
type Gates struct {
	Settle time.Duration `json:"settle_ns,omitempty"` // how long an upgrade settles, where the gates' file says so
	Gates  []Gate        `json:"gates"`
}

// Gate is one, and what it said.
type Gate struct {
	Name   string        `json:"name"`
	Kind   string        `json:"kind"`
	When   []string      `json:"when"` // before, after, settle
	OK     bool          `json:"ok"`
	Reason string        `json:"reason,omitempty"` // why not
	Took   time.Duration `json:"took_ns"`
}

// SignatureHeader carries UpgradeRequest.Signature, in base64.
const SignatureHeader = "Agent-Signature"

// UpgradeRequest goes with a package as the body, in the query of POST /v1/upgrade; the signature in a header. So it does with
// POST /v1/unpack, where nothing is installed and what is said about that does not count.
type UpgradeRequest struct {
	Name    string // of the package, for messages
	Size    int64  // bytes, or 0 where it is not known beforehand
	SHA256  string // hex; empty: not checked
	Restart bool   // restart the node where there is no way in service
	// Signature is the text of the package's .minisig file; empty where there is none.
	Signature string
	// AllowDowngrade lets the package be of an older version than what runs, where that is refused else.
	AllowDowngrade bool
	// Derived lets the agent make the relup that the package lacks.
	Derived bool
	Settle  *time.Duration // how long the new release is watched before it is made permanent; nil: the agent's setting
	Hold
}

// Hold has a new release wait for somebody to commit it.
type Hold struct {
	NoCommit     bool          `json:"no_commit,omitempty"`
	CommitWithin time.Duration `json:"commit_within_ns,omitempty"` // the old release is brought back then; 0: the agent's setting
}

// InstallRequest is the body of POST /v1/install.
type InstallRequest struct {
	Version string `json:"version"`
	Restart bool   `json:"restart,omitempty"` // restart the node where there is no way in service
	// Settle is as in UpgradeRequest.
	Settle *time.Duration `json:"settle_ns,omitempty"`
	Hold
}

// CommitRequest is the body of POST /v1/commit.
type CommitRequest struct {
	Version string `json:"version,omitempty"` // empty: whatever is on probation
}

// RollbackRequest is the body of POST /v1/rollback.
type RollbackRequest struct {
	Version string `json:"version,omitempty"` // empty: the previous one
	Restart bool   `json:"restart,omitempty"` // restart the node where there is no way in service
}

// Version answers GET /v1/version.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
}

// Health answers GET /v1/health, with 200 when the node runs and 503 when it does not.
type Health struct {
	Node string `json:"node"`
}
