package plan

import "theseus/agent/api"

// Code is a stable word for a finding. Those of reasons are the engine's, by which an upgrade would be refused (docs/api.md).
type Code string

// The codes of reasons that the plan finds itself, in the engine's words.
const (
	NeedsRestart        Code = api.CodeNeedsRestart
	NoRelup             Code = api.CodeNoRelup
	CodeDrift           Code = "code-drift"
	RecordDrift         Code = api.CodeRecordDrift
	Busy                Code = "busy-processes"
	OldProcesses        Code = "old-processes"
	SuspendedSupervisor Code = "suspended-supervisor"
	NoSuchFile          Code = "no-such-file"
	BadRelup            Code = "bad-relup-file"
	UnderWay            Code = api.CodeBusy
)

// The codes of warnings. docs/plan.md has a line on each.
const (
	ModuleForgotten       Code = "module-forgotten"        // changed, new or gone, and no instruction says so
	ModuleRemoved         Code = "module-removed-in-use"   // taken away, though the package has it
	NoCodeChange          Code = "no-code-change"          // a state is to be changed by a module that cannot
	CodeChangeUnused      Code = "code-change-unused"      // a module has a code_change now, and no instruction calls it
	NIFChanged            Code = "nif-changed"             // native code
	ChildNotStarted       Code = "child-not-started"       // a supervisor has a new child, and nothing starts it
	ChildNotEnded         Code = "child-not-ended"         // one is gone, and nothing ends it
	ChildChanged          Code = "child-changed"           // one is started otherwise, and runs on as it was
	SupervisorNotUpdated  Code = "supervisor-not-updated"  // what it starts has changed, and it is not told
	ApplicationNotStarted Code = "application-not-started" // new in the release
	ApplicationNotEnded   Code = "application-not-ended"   // gone from it
	PurgeKills            Code = "purge-kills"             // processes die at a purge
	OldCode               Code = "old-code"                // processes run on in older code
	ProcessNotFound       Code = "process-not-found"       // by release_handler, so that it is not updated
	ConfigCold            Code = "config-cold"             // settings that wait for a restart
	ConfigNotTakenUp      Code = "config-not-taken-up"     // settings that were read, and of which nobody is told
	ConfigDropped         Code = "config-dropped"          // settings of the running node that are lost
	WayBackRestart        Code = "way-back-restart"        // no relup leads back
	Downgrade             Code = "downgrade"               // to an older version
	GivenUp               Code = "given-up"                // an upgrade to it has failed before, or it never ran well
	Derived               Code = "derived"                 // instructions that nobody wrote
	Systools              Code = "systools"                // what it says of a relup that it made
)

// restarts tells a reason that is none any more once a restart is allowed.
func (c Code) restarts() bool { return c == NeedsRestart || c == NoRelup }

// checks are what looks for warnings, each for those of one kind.
var checks = []func(Facts) []Finding{
	forgotten, takenAway, codeChanges, natives, supervisors, startsAndStops, purges, strangers, settings, waysBack, derivation,
}
