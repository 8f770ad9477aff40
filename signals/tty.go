package signals

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Who holds the terminal. The agent and the command must not be in one process group: a Ctrl-C would reach
// the command twice, from the terminal and forwarded. So the command has a group of its own, and that one
// has to be the terminal's foreground.
//
//	the agent is                 the command
//	session leader               leads a new session, whose terminal is the one that the agent gave up. This
//	(docker run -t)              is what gives an interactive shell its job control.
//	under a shell, foreground    leads a group that takes the foreground before it runs, and when it stops, so
//	                             does the agent's group: to the shell they are one job
//	under a shell, background    leads a group, and has the foreground when the agent gets it (fg)
//
// Nothing that goes wrong with a terminal ends anything: it may be gone, or another session's.

// terminal is the controlling terminal of the agent and the command; nil when they have none in common.
type terminal struct{ fd int }

// controlling is a file with the controlling terminal of this process: a standard one, so that the command
// has it under the same number, else /dev/tty; -1 when there is none.
func controlling() int {
	session, _ := unix.Getsid(0)
	for fd := range 3 {
		if owner, err := unix.IoctlGetInt(fd, unix.TIOCGSID); err == nil && owner == session && readable(fd) {
			return fd
		}
	}
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return -1
	}
	return fd
}

// readable, since TIOCSCTTY refuses a terminal that is open for writing alone.
func readable(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE != unix.O_WRONLY
}

// place is where the command is to stand, and the terminal that it then shares with the agent.
func place() (*syscall.SysProcAttr, *terminal) {
	fd := controlling()
	if session, _ := unix.Getsid(0); session == os.Getpid() {
		handed := fd >= 0 && fd <= 2 && giveUp(fd)
		if !handed {
			fd = 0
		}
		return &syscall.SysProcAttr{Setsid: true, Setctty: handed, Ctty: fd}, nil
	}
	if fd < 0 {
		return &syscall.SysProcAttr{Setpgid: true}, nil
	}
	t := &terminal{fd}
	if t.owner() != unix.Getpgrp() {
		return &syscall.SysProcAttr{Setpgid: true}, t
	}
	// Go's child does this with all signals blocked, or TTOU would stop it.
	return &syscall.SysProcAttr{Foreground: true, Ctty: fd}, t
}

// withoutTerminal is the same place for a command that cannot have the terminal.
func withoutTerminal(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: attr.Setsid, Setpgid: !attr.Setsid}
}

// giveUp parts the agent, a session leader, from its terminal. The kernel sends HUP and CONT to the
// foreground group for it, which is the agent's own, and forwarded they would end the command at its start.
func giveUp(fd int) bool {
	var err error
	during(sigIgnore, []syscall.Signal{unix.SIGHUP, unix.SIGCONT}, func() {
		err = unix.IoctlSetInt(fd, unix.TIOCNOTTY, 0)
	})
	return err == nil
}

// owner is the terminal's foreground group, -1 when that cannot be told.
func (t *terminal) owner() int {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

// pass moves the foreground from one group to another, if the first one has it. From the background that is
// answered with TTOU, unless it is blocked.
func (t *terminal) pass(from, to int) bool {
	if t == nil || t.owner() != from {
		return false
	}
	var err error
	blocking([]syscall.Signal{unix.SIGTTOU}, func() { err = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, to) })
	return err == nil
}

// suspend stops the agent as the terminal would have, and returns when it is continued, or at once where
// the kernel does not stop it because nobody could continue it (an orphaned process group, PID 1). Others
// of its group, such as the rest of a pipeline or the script it stands in, are part of the shell's job and
// stop with it.
func suspend(sig syscall.Signal, group bool) {
	if sig == unix.SIGSTOP { // of a program that stops itself; the kernel would obey also where nobody continues us
		sig = unix.SIGTSTP
	}
	if group {
		during(sigIgnore, []syscall.Signal{sig}, func() { _ = unix.Kill(0, sig) })
	}
	// To this very thread, which makes it happen before Tgkill returns.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	during(sigDefault, []syscall.Signal{sig}, func() { _ = unix.Tgkill(os.Getpid(), unix.Gettid(), sig) })
}
