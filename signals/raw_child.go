package signals

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is the command that runs.
type child struct {
	log      *slog.Logger
	pid      int
	target   int // of kill(2): the command, or its group
	terminal *terminal

	mu    sync.Mutex // held over a signal and over each reaping, so that no later owner of the pid is meant
	ended bool

	// Of attend alone.
	stopped bool // the command has stopped, and the agent tried to
	asked   bool // to stop, by a signal that was forwarded
}

// notContinued is how long after it should have stopped the agent takes it that it was not.
const notContinued = time.Second

// statusUnknown has the agent exit with 255.
const statusUnknown = syscall.WaitStatus(255 << 8)

// attend forwards signals to the command and shares its stops, until it has ended.
func (c *child) attend(incoming <-chan os.Signal) Exit {
	changes := make(chan syscall.WaitStatus)
	go c.reap(changes) // ends with the command, and says so
	var running <-chan time.Time
	for {
		select {
		case sig := <-incoming:
			for _, sig := range inOrder(sig, incoming) {
				if sig == unix.SIGCONT {
					running = nil
				}
				c.forward(sig)
			}
		case status := <-changes:
			if !status.Stopped() {
				return exitOf(status)
			}
			if c.stop(status.StopSignal()) {
				running = time.After(notContinued)
			}
		case <-running:
			running = nil
			c.resume()
		}
	}
}

// inOrder takes a signal with those that have come with it. The runtime hands on what comes at once by number, CONT before
// any stop. To the kernel the later of the two undoes the earlier; which that was is not known any more, and a command that
// runs though it was to stop is better than one that stops and is never continued: CONT goes last.
func inOrder(first os.Signal, incoming <-chan os.Signal) []syscall.Signal {
	batch := []syscall.Signal{first.(syscall.Signal)}
	for {
		select {
		case sig := <-incoming:
			batch = append(batch, sig.(syscall.Signal))
			continue
		default:
		}
		break
	}
	continued := slices.Index(batch, unix.SIGCONT)
	last := continued
	for i, sig := range batch {
		if isStop(sig) {
			last = i
		}
	}
	if 0 <= continued && continued < last {
		batch = slices.Insert(batch, last+1, unix.SIGCONT)
		batch = slices.Delete(batch, continued, continued+1)
	}
	return batch
}

// isStop tells the signals that stop a process and can be caught.
func isStop(sig syscall.Signal) bool {
	return sig == unix.SIGTSTP || sig == unix.SIGTTIN || sig == unix.SIGTTOU
}

// reap waits for any child, and reports what becomes of the command. It looks before it takes: a status that
// wait4(-1) brings says too late whose pid is free by now.
func (c *child) reap(changes chan<- syscall.WaitStatus) {
	for {
		pid, err := waitable(unix.WEXITED | unix.WSTOPPED)
		if err != nil { // cannot be: the command is a child until it is taken
			c.log.Error("cannot wait for the command", "error", err)
			changes <- statusUnknown
			return
		}
		status, taken := c.take(pid)
		if !taken || pid != c.pid {
			continue
		}
		changes <- status
		if !status.Stopped() {
			return
		}
	}
}

func (c *child) take(pid int) (status syscall.WaitStatus, taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, _ := syscall.Wait4(pid, &status, syscall.WNOHANG|syscall.WUNTRACED, nil)
	if got == c.pid && !status.Stopped() {
		c.ended = true
	}
	return status, got == pid
}

// kill signals the command, or what kill(2) takes for it, while it has not ended.
func (c *child) kill(target int, sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return unix.ESRCH
	}
	return unix.Kill(target, sig)
}

// forward passes a signal on. A command that cannot be signalled, since it has changed its user or has
// just ended, is not the agent's end.
func (c *child) forward(sig syscall.Signal) {
	switch {
	case isStop(sig):
		c.asked = true
	case sig == unix.SIGCONT:
		c.asked = false
		if c.stopped {
			c.resume()
			return
		}
		c.terminal.pass(unix.Getpgrp(), c.pid)
	}
	if err := c.kill(c.target, sig); err != nil {
		c.log.Warn("cannot forward a signal", "signal", signalName(sig), "pid", c.pid, "error", err)
	}
}

// stop has the agent stop as its command did, and says whether it tried. A shell that runs the agent as a job
// waits for that. Without a terminal in common that is right only if whoever stopped the command did so
// through the agent: else nobody would think of continuing it.
func (c *child) stop(sig syscall.Signal) bool {
	if c.terminal == nil && (!c.asked || os.Getpid() == 1) {
		return false
	}
	// A job that was already running gets the foreground without a word, and its command learns of it like this.
	if (sig == unix.SIGTTIN || sig == unix.SIGTTOU) && c.terminal.pass(unix.Getpgrp(), c.pid) {
		_ = c.kill(-c.pid, unix.SIGCONT)
		return false
	}
	c.stopped = true
	suspend(sig, c.terminal != nil)
	return true
}

// resume continues the command after a stop that the agent shared.
func (c *child) resume() {
	c.stopped = false
	target := c.target
	if c.terminal != nil {
		target = -c.pid // the terminal has stopped the whole group
		c.terminal.pass(unix.Getpgrp(), c.pid)
	}
	_ = c.kill(target, unix.SIGCONT)
}
