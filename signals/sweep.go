package signals

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	sweepGrace = 2 * time.Second        // from TERM to KILL
	sweepKill  = 2 * time.Second        // after KILL, until the process is given up as stuck in the kernel
	sweepDoubt = 500 * time.Millisecond // for a descendant to show what it was started with
	sweepPoll  = 10 * time.Millisecond
	sweepLooks = 20 // at least, before a process is given up: a machine that stands still has used up the time in one
)

// Sweep ends what a dead node left running: every port program is a session of its own (erts:
// erl_child_setup), so no group signal finds it, and it outlives the node if it does not read its stdin.
// Leftovers are the descendants of the agent that were started with marker, NAME=VALUE, in their
// environment. They get TERM, and KILL two seconds later or when ctx is done; what they start meanwhile is
// their cleanup, and is not told. epmd is spared: it serves the next node too. So are processes of `docker
// exec`, which descend from nobody here, and those that another container of the same PID namespace started.
// Sweep returns the number of processes it signalled.
func (i *Init) Sweep(ctx context.Context, marker string) int { return i.sweep(ctx, marker, sweepGrace) }

func (i *Init) sweep(ctx context.Context, marker string, grace time.Duration) int {
	s := newSweeping(marker)
	for _, pid := range processes() {
		s.there[pid] = true
	}
	term, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if s.end(term, unix.SIGTERM, 1) {
		return len(s.told)
	}
	if !s.kill(ctx) {
		i.log.Error("cannot end all that the node left running", "marker", marker)
	}
	return len(s.told)
}

// Kill ends all descendants of the agent that were started with marker at once, as the end of a container does: epmd is among
// them. It returns when they are gone, and says so.
func (i *Init) Kill(ctx context.Context, marker string) bool {
	s := newSweeping(marker)
	s.spared = ""
	return s.kill(ctx)
}

// sweeping is one Sweep.
type sweeping struct {
	marker string
	spared string       // the name of a program
	there  map[int]bool // when it began
	told   map[int]syscall.Signal
}

func newSweeping(marker string) sweeping {
	return sweeping{marker: marker, spared: "epmd", told: make(map[int]syscall.Signal), there: make(map[int]bool)}
}

// kill has its own time, whatever becomes of ctx.
func (s sweeping) kill(ctx context.Context) bool {
	kill, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepKill)
	defer cancel()
	return s.end(kill, unix.SIGKILL, sweepLooks)
}

// end signals each leftover once, and says whether all were gone before ctx was done, or in so many looks. KILL is
// for those that appear meanwhile, too.
func (s sweeping) end(ctx context.Context, sig syscall.Signal, least int) bool {
	poll := time.NewTicker(sweepPoll)
	defer poll.Stop()
	doubt := time.Now().Add(sweepDoubt)
	for look := 1; ; look++ {
		left, sure := leftovers(s.marker, s.spared)
		if len(left) == 0 && (sure || look >= sweepLooks && time.Now().After(doubt)) {
			return true
		}
		for _, pid := range left {
			meant := sig == unix.SIGKILL || s.there[pid]
			if meant && s.told[pid] != sig && signalLeftover(pid, s.marker, sig) {
				s.told[pid] = sig
			}
		}
		if look >= least && ctx.Err() != nil {
			return false
		}
		<-poll.C
	}
}

// leftovers are the pids of those that are left, but of one program, and whether there can be no others.
func leftovers(marker, spared string) (list []int, sure bool) {
	sure = true
	for _, pid := range processes() {
		marked, known := hasEnv(pid, marker)
		switch {
		case known && !marked, !descends(pid), spared != "" && command(pid) == spared:
		case marked:
			list = append(list, pid)
		default:
			sure = false
		}
	}
	return list, sure
}

// descends says whether pid is alive and below this process.
func descends(pid int) bool { return pid != os.Getpid() && Within(pid, os.Getpid()) }

// signalLeftover takes hold of the process before it looks at it once more: pid may have a new owner by now.
func signalLeftover(pid int, marker string, sig syscall.Signal) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	marked, _ := hasEnv(pid, marker)
	return marked && descends(pid) && process.Signal(sig) == nil
}
