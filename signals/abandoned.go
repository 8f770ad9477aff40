package signals

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// EndAbandoned kills what an agent before this one has left, because it was killed alone: the processes that were started
// with a variable of this name in their environment, and are in dir. Only who knows that no other agent uses dir may ask
// for it; the path says nothing, since another container may have one of the same name. It returns their pids when they
// are gone, or when ctx is done.
func EndAbandoned(ctx context.Context, variable, dir string) (ended []int) {
	home, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	for _, pid := range processes() {
		if pid != os.Getpid() && abandoned(pid, variable, home) && killAbandoned(pid, variable, home) {
			ended = append(ended, pid)
		}
	}
	poll := time.NewTicker(sweepPoll)
	defer poll.Stop()
	for _, pid := range ended {
		for abandoned(pid, variable, home) {
			select {
			case <-poll.C:
			case <-ctx.Done():
				return ended
			}
		}
	}
	return ended
}

// abandoned is no longer true of a process that has ended: it is nowhere.
func abandoned(pid int, variable string, home os.FileInfo) bool {
	where, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil || !os.SameFile(home, where) {
		return false
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+variable+"="))
}

// killAbandoned takes hold of the process before it looks at it once more: pid may have a new owner by now.
func killAbandoned(pid int, variable string, home os.FileInfo) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	return abandoned(pid, variable, home) && process.Signal(unix.SIGKILL) == nil
}
