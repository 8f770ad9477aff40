package signals

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command says what to start, in the manner of os/exec.
type Command struct {
	Path                  string   // the program; not looked up in PATH
	Args                  []string // its argv, Args[0] included; empty means Path alone
	Env                   []string // its whole environment, NAME=VALUE; nil means the agent's own
	Dir                   string   // its working directory; empty means the agent's own
	Stdin, Stdout, Stderr *os.File // nil means /dev/null
	OneOutput             bool     // standard error goes to where standard output does
	NofileSoft            uint64   // the most that its soft nofile limit may be; 0 leaves the agent's
}

// Process is a supervised process.
type Process struct {
	handle *os.Process // a pidfd where the kernel has them, so that a recycled pid is never signalled
	done   chan struct{}
	exit   Exit
}

// Start starts a supervised process: in a session of its own, with an empty signal mask and default
// dispositions, with only the three standard files, and without a parent-death signal, since that would
// strike when the thread that started it ends, not the agent. The error wraps the system's
// (fs.ErrNotExist, fs.ErrPermission, syscall.ENOEXEC…).
func (i *Init) Start(cmd Command) (*Process, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	handle, err := spawn(cmd)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	p := &Process{handle: handle, done: make(chan struct{})}
	i.supervised[handle.Pid] = true
	go i.await(p) // ends with the process, and says so by Done
	return p, nil
}

func (i *Init) await(p *Process) {
	state, err := p.handle.Wait()
	if err != nil {
		i.log.Error("cannot tell how a process ended", "pid", p.Pid(), "error", err)
		p.exit = Exit{Code: unknown}
	} else {
		p.exit = exitOf(state.Sys().(syscall.WaitStatus))
	}
	i.mu.Lock()
	delete(i.supervised, p.Pid())
	i.mu.Unlock()
	close(p.done)
}

// A child that was forked while the agent wrote a program has that open for writing until it becomes a program itself, and
// meanwhile the kernel starts none that is written (execve(2), ETXTBSY).
const (
	busyTime = 10 * time.Second
	busyPoll = 5 * time.Millisecond
)

func spawn(cmd Command) (handle *os.Process, err error) {
	if cmd.Dir != "" { // else a missing directory is reported as a missing program
		if _, err := os.Stat(cmd.Dir); err != nil {
			return nil, err
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	args := cmd.Args
	if len(args) == 0 {
		args = []string{cmd.Path}
	}
	if cmd.OneOutput {
		cmd.Stderr = cmd.Stdout
	}
	attr := &os.ProcAttr{Dir: cmd.Dir, Env: cmd.Env, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, file := range []*os.File{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		if file == nil {
			file = null
		}
		attr.Files = append(attr.Files, file)
	}
	for deadline := time.Now().Add(busyTime); ; {
		err = withNofile(cmd.NofileSoft, func() error {
			return withEmptyMask(func() error {
				handle, err = os.StartProcess(cmd.Path, args, attr)
				return err
			})
		})
		if !errors.Is(err, unix.ETXTBSY) || time.Now().After(deadline) {
			break
		}
		<-time.After(busyPoll)
	}
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		err = failed.Err // "fork/exec PATH" says nothing new
	}
	return handle, err
}

// withEmptyMask runs start on a thread that blocks no signal. A child begins with the mask of the thread
// that forks it, and that one has what the agent itself was started with: a blocked TERM would make a node
// that cannot be stopped.
func withEmptyMask(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var empty, before unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &empty, &before); err != nil {
		return err
	}
	defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	return start()
}

// Pid is the pid of the process, which it keeps at least until Done.
func (p *Process) Pid() int { return p.handle.Pid }

// Done is closed when the process has ended and its status is known.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the process ended; it waits for that.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends sig to the process, and to none that has its pid later. A process that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := p.handle.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Stop ends the process: TERM now and again every resend (0: only now), KILL after kill or when ctx is
// done. TERM is repeated because a BEAM swallows it while it boots, from some 50 ms after its start until
// kernel has installed erl_signal_handler; one that arrives during init:stop changes nothing.
func (p *Process) Stop(ctx context.Context, resend, kill time.Duration) Exit {
	ctx, cancel := context.WithTimeout(ctx, kill)
	defer cancel()
	var again <-chan time.Time
	if resend > 0 {
		ticker := time.NewTicker(resend)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		_ = p.Signal(unix.SIGTERM) // refused where the process has changed its user: then nothing is left but to wait
		select {
		case <-p.done:
			return p.exit
		case <-ctx.Done():
			_ = p.Signal(unix.SIGKILL)
			return p.Exit()
		case <-again:
		}
	}
}
