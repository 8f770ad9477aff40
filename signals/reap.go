package signals

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap collects every dead orphan. SIGCHLD coalesces, so it goes on until nothing is left, and it asks for
// a second look when a dead child of another owner stood in the way.
func (i *Init) reap() (again <-chan time.Time) {
	for {
		pid := deadChild()
		if pid == 0 {
			return nil
		}
		if !i.collect(pid) {
			break
		}
	}
	// The kernel shows the same dead child until its owner has taken it: look behind it.
	for _, pid := range children() {
		i.collect(pid)
	}
	return time.After(secondLook)
}

// deadChild is the pid of a child that can be waited for, 0 when there is none. It stays as it is.
func deadChild() int {
	pid, _ := waitable(unix.WEXITED | unix.WNOHANG)
	return pid
}

// waitable is the pid of a child that one of the waitid(2) options is true of, 0 with WNOHANG when there is
// none. It stays as it is.
func waitable(options int) (int, error) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, options|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		// For SIGCHLD a pid follows the three common fields, aligned as a pointer is (sigaction(2)).
		return int((*struct {
			_   [3]int32
			_   [0]uintptr
			pid int32
		})(unsafe.Pointer(&info)).pid), err
	}
}

// collect takes the status of pid if it is a dead orphan.
func (i *Init) collect(pid int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.orphan(pid) {
		return false
	}
	for {
		got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if got == pid {
			i.orphans.Add(1)
		}
		return got == pid
	}
}

// orphan says whether a child belongs to nobody else here. Dead ones keep their group until collected.
func (i *Init) orphan(pid int) bool {
	group, err := unix.Getpgid(pid)
	if err != nil || i.supervised[pid] {
		return false
	}
	return group != unix.Getpgrp() || i.pidfds && !held(pid)
}

// pidfds says whether package os holds processes by pidfds.
func pidfds() bool {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return false
	}
	defer func() { _ = self.Release() }()
	return self.WithHandle(func(uintptr) {}) == nil
}
