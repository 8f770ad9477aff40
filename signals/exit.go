package signals

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// unknown is no code that a process can exit with, so that it is never taken for one.
const unknown = -1

// Exit is how a process ended.
type Exit struct {
	Code       int            // its exit code, when Signal is 0
	Signal     syscall.Signal // what killed it
	CoreDumped bool
}

func exitOf(status syscall.WaitStatus) Exit {
	if status.Signaled() {
		return Exit{Signal: status.Signal(), CoreDumped: status.CoreDump()}
	}
	return Exit{Code: status.ExitStatus()}
}

// Status is what the agent exits with in place of the process: its code, or 128+n when signal n killed it.
func (e Exit) Status() int {
	switch {
	case e.Signal != 0:
		return 128 + int(e.Signal)
	case e.Code == unknown:
		return 255
	}
	return e.Code
}

// String is "exit status 3", "killed by SIGKILL" or "killed by SIGSEGV (core dumped)".
func (e Exit) String() string {
	switch {
	case e.Signal != 0 && e.CoreDumped:
		return "killed by " + signalName(e.Signal) + " (core dumped)"
	case e.Signal != 0:
		return "killed by " + signalName(e.Signal)
	case e.Code == unknown:
		return "exit status unknown"
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// signalName is SIGTERM and the like; the real-time signals have numbers only.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
