package agent

import (
	"fmt"
	"math"
	"time"

	"theseus/agent/heart"
	"theseus/signals"
)

// RestartPolicy says what follows when the node ends and nobody asked for it.
type RestartPolicy string

// The policies.
const (
	RestartUnset     RestartPolicy = ""           // never, or on-failure where vm.args has -heart
	RestartNever     RestartPolicy = "never"      // the agent ends with the node's status
	RestartOnFailure RestartPolicy = "on-failure" // the node is launched again, unless it stopped by its own choice
	RestartAlways    RestartPolicy = "always"     // the node is launched again
)

const (
	maxDelay   = time.Minute // between two launches
	steadyTime = time.Minute // a node that was up for so long begins a new row of restarts
)

// ending is all that is known of how the node ended, and of what was wanted of it.
type ending struct {
	exit     signals.Exit
	word     heart.Word
	hung     bool // it was killed because its heart fell silent
	oom      bool // the kernel killed it for want of memory
	stopping bool // the agent was told to stop
	restart  string
	expect   string // an upgrade was to restart the emulator into this release, and the node has asked for that
	script   string // with which release_handler wants it to be booted
	protect  string
	dump     bool // a crash dump was asked for
	restarts int  // by the policy, in a row
}

// manner is what the policy looks at: how the node ended by itself.
type manner int

// The manners.
const (
	stopped  manner = iota // in order, by its own choice: init:stop/0, or status 0 and no heart to tell
	rebooted               // with status 0, and without the word that it is not to be started again
	failed                 // with another status, killed, or hung
)

// action is what the agent does when the node has ended.
type action int

// The actions.
const (
	endAgent  action = iota // with the node's status
	bootNow                 // the release that somebody named
	bootLater               // the permanent release, after the back-off
)

// policyTable is what follows an end that nobody asked for:
//
//	how the node ended                           | never | on-failure | always
//	---------------------------------------------+-------+------------+-------
//	stopped: init:stop/0                         | end   | end        | boot
//	rebooted: init:reboot/0, halt(0)             | end   | boot       | boot
//	failed: another status, a signal, a hang     | end   | boot       | boot
//
// The exit status of the first two is 0, and its heart tells them apart (heart.Word). After AGENT_RESTART_LIMIT
// restarts in a row every boot in the table is an end. These come before it, in this order:
//
//	the agent was told to stop                   | end
//	a restart was asked for                      | boot what was named there
//	an upgrade restarts the emulator             | boot what release_handler made for that, once
//	an upgrade was under way                     | boot what it protects
var policyTable = map[manner]map[RestartPolicy]action{
	stopped:  {RestartNever: endAgent, RestartOnFailure: endAgent, RestartAlways: bootLater},
	rebooted: {RestartNever: endAgent, RestartOnFailure: bootLater, RestartAlways: bootLater},
	failed:   {RestartNever: endAgent, RestartOnFailure: bootLater, RestartAlways: bootLater},
}

// ruling is what follows, and why.
type ruling struct {
	action  action
	version string        // that boots
	script  string        // with which it boots, where that is not its own
	delay   time.Duration // before that
	why     string        // in words, for the operator
	reason  string        // for which it boots
}

// rule decides what follows the node's end. It is pure.
func rule(e ending, policy RestartPolicy, limit int) ruling {
	switch {
	case e.stopping:
		return ruling{why: "the agent was told to stop"}
	case e.restart != "":
		return ruling{action: bootNow, version: e.restart, why: "it is restarted into " + e.restart}
	case e.expect != "":
		return ruling{action: bootNow, version: e.expect, script: e.script, why: "its upgrade restarts the emulator, so " + e.expect + " is booted on trial"}
	case e.protect != "":
		return ruling{action: bootNow, version: e.protect, why: "an upgrade was under way, so " + e.protect + " is booted"}
	}
	act := policyTable[e.manner()][policy]
	switch {
	case act == endAgent && policy == RestartNever:
		return ruling{why: "nobody asked for it, so the agent ends with its status"}
	case act == endAgent:
		return ruling{why: fmt.Sprintf("it chose to, so the agent ends with its status (AGENT_RESTART=%s)", policy)}
	case limit > 0 && e.restarts >= limit:
		return ruling{why: fmt.Sprintf("it was restarted %d times in a row, so the agent gives up and ends with its status", e.restarts)}
	}
	return ruling{action: bootLater, why: fmt.Sprintf("it is restarted (AGENT_RESTART=%s)", policy)}
}

func (e ending) manner() manner {
	switch {
	case e.hung || e.exit.Status() != 0:
		return failed
	case e.word == heart.Closed || e.word == heart.Crashing:
		return rebooted
	}
	return stopped
}

// String tells how the node ended: "exit status 3", "killed by SIGKILL: the kernel was out of memory for it".
func (e ending) String() string {
	how := e.exit.String()
	switch {
	case e.dump:
		return how + ": a crash dump was asked for"
	case e.hung:
		return how + ": it hung"
	case e.oom:
		return how + ": it was killed for want of memory (OOM)"
	case e.manner() == rebooted:
		return how + ": it asked for a reboot or was halted, init:reboot/0 or halt(0)"
	case e.word == heart.Stopped && !e.stopping:
		return how + ": it stopped itself in order, init:stop"
	}
	return how
}

// policyFor resolves an unset policy: a release whose vm.args has -heart asked for a restarter, which the agent is
// in heart's place.
func policyFor(configured RestartPolicy, wantsHeart bool) RestartPolicy {
	switch {
	case configured != RestartUnset:
		return configured
	case wantsHeart:
		return RestartOnFailure
	}
	return RestartNever
}

// delay is how long the node stays down before the restart that follows so many others in a row: first, then twice
// as long each time, a minute at most. roll, from 0 to 1, takes up to a quarter off, so that containers
// that fell together do not come back together.
func delay(first time.Duration, restarts int, roll float64) time.Duration {
	full := math.Min(float64(first)*math.Pow(2, float64(restarts)), float64(max(first, maxDelay)))
	return time.Duration(full * (1 - roll/4))
}
