package signals

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Raw is PID 1 for any command: it forwards signals, reaps, and ends as the command does. It is another way
// to be PID 1 than Init, for a process that does nothing else: no os/exec beside it waits for children, so
// one wait for any child is all its reaping.
//
// Every signal that can be caught is forwarded, once each and in order, but URG and PROF, which belong to
// the Go runtime, and CHLD, which is the agent's. 32 and 34 cannot be caught by a Go program; the C library
// has them for itself. Of one kind that comes again before the first is taken, one arrives (signal(7)).
type Raw struct {
	Log         *slog.Logger
	Args        []string      // the command and its arguments
	Env         []string      // its environment
	Group       bool          // forward to the command's process group, not to the command alone
	Grace       time.Duration // for what the command leaves running, from TERM to KILL
	NoSubreaper bool          // where it is not PID 1, leave orphans to whoever is
	Become      []string      // the words before the command that have this program call Become
}

// Run starts the command and returns the status to exit with: the command's own, 128+n when signal n killed
// it, 127 when it is not to be found and 126 when it cannot be started, with the error. It takes the whole
// process over: signals, working directory, children.
func (r Raw) Run() (int, error) {
	// More of the runtime's threads would only wake each other for each orphan.
	runtime.GOMAXPROCS(1)
	incoming := make(chan os.Signal, 1024) // os/signal drops what does not fit
	signal.Notify(incoming, forwarded()...)
	unignore()
	// Without a handler the kernel does not even interrupt us for CHLD.
	_, _ = setAction(unix.SIGCHLD, &sigaction{sigDefault})
	if err := r.adopt(); err != nil {
		return 1, err
	}
	c, err := r.start()
	if err != nil {
		return startStatus(err)
	}
	_ = os.Chdir("/") // so that no volume is busy for our sake
	exit := c.attend(incoming)
	c.terminal.pass(c.pid, unix.Getpgrp())
	endStragglers(r.Log, r.Grace)
	return exit.Status(), nil
}

// forwarded are the signals that Run forwards.
func forwarded() []os.Signal {
	var list []os.Signal
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		default:
			list = append(list, sig)
		}
	}
	return list
}

// adopt makes this process the one that orphans come to.
func (r Raw) adopt() error {
	switch {
	case os.Getpid() == 1:
	case r.NoSubreaper:
		r.Log.Warn("orphans of the command go to another process: this is not PID 1, nor a subreaper")
	default:
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot become a child subreaper: %w", err)
		}
	}
	return nil
}

// start starts the command with nothing of the agent's but its three standard files, its sockets, working
// directory, umask and limits.
func (r Raw) start() (*child, error) {
	closeOnExec()
	attr, shared := place()
	files := []uintptr{0, 1, 2}
	for n := range sockets(r.Env) {
		files = append(files, uintptr(3+n))
	}
	args := r.Args
	if len(files) > 3 && len(r.Become) > 0 {
		args = append(r.Become[:len(r.Become):len(r.Become)], args...)
	}
	c := &child{log: r.Log, terminal: shared}
	err := lookUp(args[0], r.Env, func(path string) (err error) {
		c.pid, err = fork(path, args, &syscall.ProcAttr{Env: r.Env, Files: files, Sys: attr})
		return err
	})
	if err != nil {
		if attr.Foreground {
			shared.pass(shared.owner(), unix.Getpgrp()) // from a child that never became the command
		}
		return nil, err
	}
	c.target = c.pid
	if r.Group {
		c.target = -c.pid
	}
	return c, nil
}

// fork starts a program; without the terminal where it cannot have that.
func fork(path string, args []string, attr *syscall.ProcAttr) (pid int, err error) {
	err = withEmptyMask(func() error {
		pid, err = syscall.ForkExec(path, args, attr)
		if err != nil && (attr.Sys.Setctty || attr.Sys.Foreground) && aboutTerminal(err) {
			attr.Sys = withoutTerminal(attr.Sys)
			pid, err = syscall.ForkExec(path, args, attr)
		}
		return err
	})
	return pid, err
}

// aboutTerminal are the errors of the requests to a terminal; execve(2) has some of them too.
func aboutTerminal(err error) bool {
	for _, errno := range []syscall.Errno{unix.EPERM, unix.ENXIO, unix.ENOTTY, unix.EIO, unix.EINVAL, unix.ESRCH} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
