package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer follows the threads of one agent. All of it happens on the OS thread that has started the agent. What the
// agent starts is not followed: the node runs at full speed.
type tracer struct {
	agent   int
	stepped bool // threads stop at their calls
	enter   func(*call)
	leave   func(*call)

	threads map[int]*call // what each is in
	ended   map[int]syscall.WaitStatus
	waking  atomic.Bool // somebody has a reason to look whether it is over
}

// call is one system call of a thread.
type call struct {
	tid    int
	number uint64
	args   [6]uint64
	value  int64 // when it has ended
	about  *change
	answer *int64 // what it is to return
}

const (
	options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	// waitFlags: threads too, and of the children of this process only those of this thread.
	waitFlags = unix.WALL | unix.WNOTHREAD
)

func newTracer(pid int) *tracer {
	return &tracer{agent: pid, threads: map[int]*call{}, ended: map[int]syscall.WaitStatus{}}
}

// seize follows a process that has one thread, and those that it will have.
func (t *tracer) seize() error { return t.ptrace(unix.PTRACE_SEIZE, t.agent, options) }

func (t *tracer) ptrace(request, tid int, data uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0); errno != 0 {
		return fmt.Errorf("ptrace %#x of %d: %w", request, tid, errno)
	}
	return nil
}

// step has the threads stop at each call from now on, or no more.
func (t *tracer) step(on bool) {
	t.stepped = on
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", t.agent))
	for _, task := range tasks {
		if tid, err := strconv.Atoi(filepath.Base(task)); err == nil {
			_ = t.ptrace(unix.PTRACE_INTERRUPT, tid, 0) // one that is about to end needs none
		}
	}
}

// wake has run look at its condition. It may be called from anywhere.
func (t *tracer) wake() {
	t.waking.Store(true)
	_ = unix.Kill(t.agent, unix.SIGURG) // which Go programs send to themselves all the time
}

var errPatience = errors.New("patience is at its end")

// run lets everything go on until the condition holds, which is looked at behind each event.
func (t *tracer) run(until func() bool) error {
	deadline := time.Now().Add(patience)
	timer := time.AfterFunc(patience, t.wake)
	defer timer.Stop()
	for !until() {
		if time.Now().After(deadline) {
			return errPatience
		}
		if err := t.next(); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracer) next() error {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, waitFlags, nil) //nolint:forbidigo // a tracer waits for each stop
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("cannot wait: %w", err)
	case status.Exited() || status.Signaled():
		t.ended[pid] = status
		delete(t.threads, pid)
		return nil
	case status.Stopped():
		return t.stopped(pid, status)
	}
	return nil
}

// stopped deals with one stop of a thread, and lets it go on.
func (t *tracer) stopped(tid int, status syscall.WaitStatus) error {
	signal, event := status.StopSignal(), int(status)>>16
	switch {
	case signal == unix.SIGTRAP|0x80:
		t.atCall(tid)
		signal = 0
	case event == unix.PTRACE_EVENT_STOP && signal != unix.SIGTRAP:
		return gone(t.ptrace(unix.PTRACE_LISTEN, tid, 0))
	case event != 0:
		signal = 0
	}
	request := unix.PTRACE_CONT
	if t.stepped {
		request = unix.PTRACE_SYSCALL
	}
	return gone(t.ptrace(request, tid, uintptr(signal)))
}

// gone is no error: the thread was killed meanwhile.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// info is struct ptrace_syscall_info.
type info struct {
	op   uint8
	_    [3]byte
	_    uint32
	_, _ uint64
	data [8]uint64
}

func (t *tracer) atCall(tid int) {
	var i info
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(i), uintptr(unsafe.Pointer(&i)), 0, 0)
	if errno != 0 || !t.stepped {
		return
	}
	switch i.op {
	case unix.PTRACE_SYSCALL_INFO_ENTRY:
		c := &call{tid: tid, number: i.data[0], args: [6]uint64(i.data[1:7])}
		t.threads[tid] = c
		t.enter(c)
	case unix.PTRACE_SYSCALL_INFO_EXIT:
		c := t.threads[tid]
		if c == nil { // it was in there already when it was told to stop
			return
		}
		delete(t.threads, tid)
		c.value = int64(i.data[0])
		t.leave(c)
		if c.answer != nil {
			_ = result(tid, *c.answer)
		}
	}
}

// text is a string of the agent's, at most a path's length of it.
func (t *tracer) text(address uint64) string {
	b := t.bytes(address, unix.PathMax)
	for n, c := range b {
		if c == 0 {
			return string(b[:n])
		}
	}
	return string(b)
}

// bytes of the agent's memory, as far as it goes.
func (t *tracer) bytes(address, size uint64) []byte {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", t.agent))
	if err != nil {
		return nil
	}
	defer memory.Close()
	b := make([]byte, min(size, unix.PathMax))
	n, _ := memory.ReadAt(b, int64(address))
	return b[:n]
}
