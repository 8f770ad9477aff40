package rpc

import (
	"fmt"
	"strings"

	"theseus/rpc/term"
)

// The codes of a ReleaseError are stable words.
const (
	CodeNoSuchRelease       = "no-such-release"
	CodeExistingRelease     = "existing-release" // set_unpacked: known already
	CodeAlreadyInstalled    = "already-installed"
	CodeNoMatchingRelup     = "no-matching-relup"
	CodeBadRelupFile        = "bad-relup-file"
	CodeOldProcesses        = "old-processes"
	CodeCodeChangeFailed    = "code-change-failed"
	CodeTimeout             = "timeout"
	CodeSuspendedSupervisor = "suspended-supervisor"
	CodeNoSuchFile          = "no-such-file"
	CodeBadStatus           = "bad-status"
	CodeOther               = "other"
)

// ReleaseError is {error, Reason} of release_handler.
type ReleaseError struct {
	Call    string // install_release
	Version string // the release's, or what else the call is about: set_unpacked has a file
	Reason  term.Term
}

// releaseReasons are the reasons of release_handler and release_handler_1 by the tag of their tuple, {1} and
// so on standing for its further elements.
var releaseReasons = map[term.Atom]struct{ code, text string }{
	"no_such_release":    {CodeNoSuchRelease, "the node knows no release {1}"},
	"existing_release":   {CodeExistingRelease, "the node knows release {1} already"},
	"already_installed":  {CodeAlreadyInstalled, "release {1} is installed already"},
	"no_matching_relup":  {CodeNoMatchingRelup, "release {1} has no relup from {2}"},
	"bad_relup_file":     {CodeBadRelupFile, "cannot read the relup {1}"},
	"old_processes":      {CodeOldProcesses, "processes still run old code of module {1}"},
	"code_change_failed": {CodeCodeChangeFailed, "code_change of {2} in process {1} failed: {4}"},
	"no_such_file":       {CodeNoSuchFile, "there is no file {1}"},
	"enoent":             {CodeNoSuchFile, "there is no file {1}"},
	"no_such_directory":  {CodeNoSuchFile, "there is no directory {1}"},
	"bad_status":         {CodeBadStatus, "its status is {1}"},
	"permanent":          {CodeBadStatus, "release {1} is permanent"},
	"illegal_instruction_after_point_of_no_return": {
		CodeBadRelupFile,
		"the relup has {1} after the point of no return",
	},
	"timeout":              {CodeTimeout, "a process did not answer in time: {1}"},
	"suspended_supervisor": {CodeSuspendedSupervisor, "a supervisor is suspended, or does not answer"},
}

// Code is a stable word for the reason.
func (e *ReleaseError) Code() string {
	if reason, ok := releaseReasons[e.tag()]; ok {
		return reason.code
	}
	return CodeOther
}

// Error tells known reasons in words, and prints others as Erlang does.
func (e *ReleaseError) Error() string {
	verb := strings.ReplaceAll(e.Call, "_", " ")
	return fmt.Sprintf("cannot %s %s: %s", verb, e.Version, brief(e.text()))
}

// reasonBytes is what an error shows of its reason. The stack trace of a failed code_change has the arguments of the
// call, and with them the whole state of the process: megabytes, in every log and record, that nobody reads.
const reasonBytes = 4 << 10

func brief(reason string) string {
	if len(reason) <= reasonBytes {
		return reason
	}
	return fmt.Sprintf("%s… and %d bytes more", strings.ToValidUTF8(reason[:reasonBytes], ""), len(reason)-reasonBytes)
}

// briefTerm is brief without the whole text in memory.
func briefTerm(reason term.Term) string {
	text, whole := term.FormatMax(reason, reasonBytes)
	if !whole {
		text += "… and more"
	}
	return text
}

func (e *ReleaseError) text() string {
	reason, ok := releaseReasons[e.tag()]
	if !ok {
		return term.Format(e.Reason)
	}
	text := reason.text
	for i, element := range e.tuple()[1:] {
		text = strings.ReplaceAll(text, fmt.Sprintf("{%d}", i+1), words(element))
	}
	return text
}

func (e *ReleaseError) tag() term.Atom {
	t := e.tuple()
	if len(t) < 2 {
		return ""
	}
	tag, _ := t[0].(term.Atom)
	return tag
}

// tuple is the reason's, without the {'EXIT', …} and the stack trace of a release_handler that crashed on it.
func (e *ReleaseError) tuple() term.Tuple {
	t, _ := e.Reason.(term.Tuple)
	if len(t) != 2 || t[0] != term.Atom("EXIT") {
		return t
	}
	why, _ := t[1].(term.Tuple)
	return why
}
