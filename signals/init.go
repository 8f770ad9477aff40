// Package signals is PID 1's share of the agent: it reaps orphans, turns signals into requests, and is the
// one door through which supervised processes start and end.
//
// Reaping and os/exec live in one process here, and wait4(-1) would steal the statuses that os/exec waits
// for. So ownership of a child is told by its process group: os/exec's children stay in the agent's own
// group and are left alone; a supervised process (Start) leads a session of its own and is waited for by
// its pid; every other child is an orphan. It follows that nothing started with os/exec may change its
// process group or session. What a child of os/exec leaves running comes into the agent's care in that same
// group; it is told apart by the pidfd that package os holds of each process that it started and has not
// waited for. On a kernel without pidfds it is not reaped.
//
// What a signal to the agent means:
//
//	TERM INT QUIT                          a request to stop, delivered by Stops; never forwarded as such,
//	                                       since INT or QUIT halts a BEAM without init:stop or freezes it
//	USR1                                   a request for a crash dump, delivered by Dumps
//	HUP USR2 ABRT ALRM WINCH IO PWR        nothing; logged once each, since putting an init in front of the
//	                                       BEAM must not make them deadlier than they were
//	PIPE                                   nothing; writing to a closed stdout is an error, not an end
//	CHLD                                   a child to look at
//	TSTP TTIN TTOU CONT                    the kernel's default: job control of the agent itself
//	URG PROF and others                    the Go runtime's own
package signals

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	stopSignals    = []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT}
	ignoredSignals = []os.Signal{
		unix.SIGHUP, unix.SIGUSR2, unix.SIGABRT,
		unix.SIGALRM, unix.SIGWINCH, unix.SIGIO, unix.SIGPWR,
	}
)

// secondLook is when to look again after a pass that met a child of another owner. Reading a list of
// children while another owner takes one off it can miss a neighbour (proc(5), task/TID/children).
const secondLook = 50 * time.Millisecond

// Init holds the duties of PID 1.
type Init struct {
	log     *slog.Logger
	stops   chan os.Signal
	dumps   chan os.Signal
	ignored chan os.Signal
	pipe    chan os.Signal
	child   chan os.Signal
	orphans atomic.Uint64
	pidfds  bool // package os has them

	mu         sync.Mutex // held over a start and over each reaping, so that a new child is known before it is judged
	supervised map[int]bool
}

// New takes over the signals of the process. Call it first thing in main: before, the Go runtime ends the
// process with status 2 on TERM. Where the process is not PID 1 it becomes a child subreaper. It also keeps
// from children what they should not inherit: the Go runtime's nofile limit, and files that were open when
// the process started.
func New(log *slog.Logger) (*Init, error) {
	i := &Init{
		log:        log,
		stops:      make(chan os.Signal, 16),
		dumps:      make(chan os.Signal, 1),
		ignored:    make(chan os.Signal, 16),
		pipe:       make(chan os.Signal, 1),
		child:      make(chan os.Signal, 1),
		supervised: make(map[int]bool),
		pidfds:     pidfds(),
	}
	signal.Notify(i.stops, stopSignals...)
	signal.Notify(i.dumps, unix.SIGUSR1)
	signal.Notify(i.pipe, unix.SIGPIPE)
	signal.Notify(i.ignored, ignoredSignals...)
	signal.Notify(i.child, unix.SIGCHLD)
	unignore()
	restoreNofile()
	closeOnExec()
	if os.Getpid() == 1 {
		return i, nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("cannot become a child subreaper: %w", err)
	}
	return i, nil
}

// Run reaps orphans until ctx is done, and returns nil. Supervised processes are waited for whether or not
// it runs, so it may be the last actor to stop.
func (i *Init) Run(ctx context.Context) error {
	logged := make(map[os.Signal]bool)
	for again := i.reap(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-i.child:
			again = i.reap()
		case <-again:
			i.reap() // no third look: what is left has another owner
			again = nil
		case sig := <-i.ignored:
			if !logged[sig] {
				logged[sig] = true
				i.log.Info("ignored a signal", "signal", signalName(sig.(syscall.Signal)))
			}
		}
	}
}

// Stops delivers each TERM, INT and QUIT that the agent receives, a request to stop the node in an orderly
// way. Several of one kind within a moment may arrive as one.
func (i *Init) Stops() <-chan os.Signal { return i.stops }

// Dumps delivers USR1, a request for a crash dump of the node. Several within a moment may arrive as one.
func (i *Init) Dumps() <-chan os.Signal { return i.dumps }

// Orphans is the number of orphans reaped so far.
func (i *Init) Orphans() uint64 { return i.orphans.Load() }
