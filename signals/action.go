package signals

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Dispositions behind the back of os/signal, which cannot put a signal back to what it was, nor reach the
// signals that the Go runtime leaves to the C library (32 and 34).

// sigaction is what rt_sigaction(2) reads and writes: the handler, and three words that are handed back as
// they came.
type sigaction [4]uintptr

const (
	sigDefault = 0
	sigIgnore  = 1
	lastSignal = 64
)

// setAction gives sig another disposition and returns the one it had; nil only asks.
func setAction(sig syscall.Signal, to *sigaction) (before sigaction, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&before)), lastSignal/8, 0, 0)
	if errno != 0 {
		return before, errno
	}
	return before, nil
}

// unignore puts every ignored signal back to its default. What is ignored passes through execve(2), so
// whatever the agent's parent ignored, the command would ignore too: nohup HUP, some shells INT and QUIT, and
// a make that uses posix_spawn 32 and 33.
func unignore() {
	for sig := syscall.Signal(1); sig <= lastSignal; sig++ {
		if now, err := setAction(sig, nil); err == nil && now[0] == sigIgnore {
			_, _ = setAction(sig, &sigaction{sigDefault})
		}
	}
}

// during runs act while these signals have another disposition.
func during(handler uintptr, list []syscall.Signal, act func()) {
	for _, sig := range list {
		before, err := setAction(sig, &sigaction{handler})
		if err == nil {
			defer func() { _, _ = setAction(sig, &before) }()
		}
	}
	act()
}

// blocking runs act on a thread that blocks these signals. One that comes to that thread meanwhile, as the
// answer to what act does, is thrown away.
func blocking(list []syscall.Signal, act func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var set, before unix.Sigset_t
	for _, sig := range list {
		set.Val[0] |= 1 << (sig - 1)
	}
	if unix.PthreadSigmask(unix.SIG_BLOCK, &set, &before) != nil {
		act()
		return
	}
	act()
	for now := new(unix.Timespec); ; {
		taken, _, _ := unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0,
			uintptr(unsafe.Pointer(now)), lastSignal/8, 0, 0)
		if int(taken) <= 0 {
			break
		}
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
}
