package signals

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stragglerPoll = 5 * time.Millisecond
	stragglerKill = 2 * time.Second // after KILL, until a process is given up as stuck in the kernel
)

// endStragglers ends what the command has left running. An init that just exits has the kernel KILL all of
// it in the middle of its cleanup; so there is TERM first, and grace. PID 1 tells everything in its namespace,
// since all of that ends with it; another agent only what descends from it. TERM is told once, for what a
// process starts then is its cleanup.
func endStragglers(log *slog.Logger, grace time.Duration) {
	if nothingLeft() {
		return
	}
	tell := descendants
	if os.Getpid() == 1 {
		tell = namespace
	}
	tell(unix.SIGTERM, unix.SIGCONT)
	if within(grace, nothingLeft) {
		return
	}
	log.Warn("the command left processes running that do not end when told to: they are killed", "after", grace)
	if !within(stragglerKill, func() bool { tell(unix.SIGKILL); return nothingLeft() }) {
		log.Error("cannot end all that the command left running")
	}
}

// within says whether fact came true in this time.
func within(patience time.Duration, fact func() bool) bool {
	for deadline := time.Now().Add(patience); !fact(); {
		wait := min(stragglerPoll, time.Until(deadline))
		if wait <= 0 {
			return false
		}
		<-time.After(wait)
	}
	return true
}

// nothingLeft reaps, and says whether there is neither a child nor, for PID 1, anybody else to signal.
func nothingLeft() bool {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR) || pid > 0:
		case errors.Is(err, unix.ECHILD):
			// A process of `docker exec` is no child of ours.
			return os.Getpid() != 1 || errors.Is(unix.Kill(-1, 0), unix.ESRCH)
		default:
			return false
		}
	}
}

// namespace signals every process of the PID namespace but this one.
func namespace(signals ...unix.Signal) {
	for _, sig := range signals {
		_ = unix.Kill(-1, sig)
	}
}

// descendants signals every process below this one. Each is taken hold of before it is looked at, for a pid
// may have a new owner at any time.
func descendants(signals ...unix.Signal) {
	for _, pid := range processes() {
		if !descends(pid) {
			continue
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		if descends(pid) {
			for _, sig := range signals {
				_ = process.Signal(sig)
			}
		}
		_ = process.Release()
	}
}
