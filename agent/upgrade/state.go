// Package upgrade takes a node from one release to another, and back when it goes wrong. It is a state
// machine (this file), the engine that walks it (engine.go, attempt.go) and one file for each of its steps.
//
//	requested → received → verified → planned → unpacked → checked → installing → probation → committed
//	    │           │          │         │          │          │          │           │
//	    └───────────┴──────────┴─────────┴──────────┴──────────┴ aborted ─┤           │
//	                                                                      └─ reverted ┘
//
// Before installing, every failure is taken back: the running release was not touched and the disk is as it
// was. From installing on a failure ends in the old release, hot where the relup leads back, else by a
// restart of the node. There may be several relups on the way; installing is all of them. Where the relup restarts the emulator the node ends in installing, and probation begins
// with the next one. A crash anywhere is settled at the next start from the operation that the volume recorded:
// before its commit the old release boots, after it the new one.
package upgrade

import (
	"fmt"
	"slices"
)

// State is how far an upgrade has come.
type State string

// The states.
const (
	Requested  State = "requested"  // nothing has been done
	Received   State = "received"   // the package is kept, its digest known
	Verified   State = "verified"   // unpacked into the stage and found sound
	Planned    State = "planned"    // there is a way from the running release to it, in service
	Unpacked   State = "unpacked"   // published on the volume
	Checked    State = "checked"    // release_handler and the processes to be changed agree
	Installing State = "installing" // install_release has been asked for
	Probation  State = "probation"  // it runs, and is not permanent
	Committed  State = "committed"  // it is what boots from now on
	Aborted    State = "aborted"    // given up before installing
	Reverted   State = "reverted"   // the old release runs again
)

// transitions is the drawing above as data. A rollback has no package: it goes from requested to planned. What is to be
// unpacked and no more is not planned: it goes from verified to unpacked, and that is its end.
var transitions = map[State][]State{
	Requested:  {Received, Planned, Aborted},
	Received:   {Verified, Aborted},
	Verified:   {Planned, Unpacked, Aborted},
	Planned:    {Unpacked, Aborted},
	Unpacked:   {Checked, Aborted},
	Checked:    {Installing, Aborted},
	Installing: {Probation, Aborted, Reverted},
	Probation:  {Committed, Reverted},
}

// next returns to where the table has an edge from s to it.
func (s State) next(to State) (State, error) {
	if !slices.Contains(transitions[s], to) {
		return s, fmt.Errorf("cannot go from state %s to %s", s, to)
	}
	return to, nil
}

// final says that nothing follows.
func (s State) final() bool { return len(transitions[s]) == 0 }
