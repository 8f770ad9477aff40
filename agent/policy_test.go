package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/heart"
	"theseus/signals"
)

// stories are one line each: how the node ended, and what follows under never, on-failure and always.
var stories = []struct {
	about string
	end   ending
	want  string
}{
	{"init:stop()", ending{word: heart.Stopped}, "end end boot"},
	{"init:stop(3)", ending{word: heart.Stopped, exit: signals.Exit{Code: 3}}, "end boot boot"},
	{"init:reboot() or halt(0)", ending{word: heart.Closed}, "end boot boot"},
	{"halt(7)", ending{word: heart.Closed, exit: signals.Exit{Code: 7}}, "end boot boot"},
	{"status 0 before its heart spoke", ending{}, "end end boot"},
	{"a crash", ending{word: heart.Crashing, exit: signals.Exit{Code: 1}}, "end boot boot"},
	{"a crash that still exits with 0", ending{word: heart.Crashing}, "end boot boot"},
	{"kill -9", ending{word: heart.Closed, exit: signals.Exit{Signal: unix.SIGKILL}}, "end boot boot"},
	{"out of memory", ending{oom: true, exit: signals.Exit{Signal: unix.SIGKILL}}, "end boot boot"},
	{"a hang", ending{hung: true, exit: signals.Exit{Signal: unix.SIGABRT}}, "end boot boot"},
	{"a dump that was asked for", ending{dump: true, exit: signals.Exit{Code: 1}}, "end boot boot"},
	{"told to stop", ending{stopping: true, exit: signals.Exit{Signal: unix.SIGKILL}}, "end end end"},
	{"told to stop, over all else", ending{stopping: true, restart: "2", protect: "1", hung: true}, "end end end"},
	{"a restart was asked for", ending{restart: "2", protect: "1"}, "2 2 2"},
	{"an upgrade that restarts the emulator", ending{expect: "2", script: "2", protect: "1", word: heart.Closed}, "2 2 2"},
	{"told to stop in such an upgrade", ending{stopping: true, expect: "2", script: "2", protect: "1"}, "end end end"},
	{"an upgrade was under way", ending{protect: "1", exit: signals.Exit{Code: 7}}, "1 1 1"},
	{"the ninth failure in a row", ending{exit: signals.Exit{Code: 1}, restarts: 9}, "end boot boot"},
	{"the tenth failure in a row", ending{exit: signals.Exit{Code: 1}, restarts: 10}, "end end end"},
	{"the tenth in a row, and an upgrade", ending{protect: "1", restarts: 10}, "1 1 1"},
}

func TestWhatFollowsAnEndIsAsTheTableSays(t *testing.T) {
	for _, s := range stories {
		var got []string
		for _, policy := range []RestartPolicy{RestartNever, RestartOnFailure, RestartAlways} {
			got = append(got, follows(rule(s.end, policy, 10)))
		}
		if got := strings.Join(got, " "); got != s.want {
			t.Errorf("%s: %s, want %s", s.about, got, s.want)
		}
	}
}

func follows(r ruling) string {
	switch r.action {
	case bootNow:
		return r.version
	case bootLater:
		return "boot"
	}
	return "end"
}

func TestTheTableHasEveryMannerAndPolicy(t *testing.T) {
	for m := stopped; m <= failed; m++ {
		for _, p := range []RestartPolicy{RestartNever, RestartOnFailure, RestartAlways} {
			if _, there := policyTable[m][p]; !there {
				t.Errorf("it lacks manner %d under %s", m, p)
			}
		}
	}
}

func TestWithoutALimitTheNodeIsRestartedForEver(t *testing.T) {
	if r := rule(ending{exit: signals.Exit{Code: 1}, restarts: 1 << 20}, RestartAlways, 0); r.action != bootLater {
		t.Errorf("%s", r.why)
	}
}

func TestHeartInVMArgsAsksForRestartsUnlessThePolicyIsSet(t *testing.T) {
	for want, got := range map[RestartPolicy]RestartPolicy{
		RestartOnFailure: policyFor(RestartUnset, true),
		RestartNever:     policyFor(RestartNever, true),
		RestartAlways:    policyFor(RestartAlways, true),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := policyFor(RestartUnset, false); got != RestartNever {
		t.Errorf("without it: %s", got)
	}
}

func TestTheDelayDoublesUpToAMinuteAndJitterTakesUpToAQuarter(t *testing.T) {
	var full, least []string
	for n := range 8 {
		full = append(full, delay(time.Second, n, 0).String())
		least = append(least, delay(time.Second, n, 1).String())
	}
	if got, want := fmt.Sprint(full), "[1s 2s 4s 8s 16s 32s 1m0s 1m0s]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := fmt.Sprint(least), "[750ms 1.5s 3s 6s 12s 24s 45s 45s]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := delay(5*time.Minute, 3, 0); got != 5*time.Minute {
		t.Errorf("a longer first delay was cut to %s", got)
	}
	if got := delay(time.Second, 1<<20, 0); got != maxDelay {
		t.Errorf("after very many: %s", got)
	}
}
