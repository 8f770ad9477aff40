package pid1

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This program is also the command that runs under the agent, when the environment gives it a role.
const roleVariable = "PID1_TEST_ROLE"

var roles = map[string]func(args []string){
	"listener": beListener,
	"spoiler":  beSpoiler,
}

// beListener says which signals it gets.
func beListener([]string) {
	got := make(chan os.Signal, 1024)
	signal.Notify(got, everything()...)
	fmt.Println("ready")
	for sig := range got {
		fmt.Println("signal", int(sig.(syscall.Signal)))
	}
}

// everything is all that can be told apart: the rest belongs to the kernel, the Go runtime or the C library.
func everything() []os.Signal {
	var list []os.Signal
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGURG, unix.SIGPROF, 32, 33, 34:
		default:
			list = append(list, sig)
		}
	}
	return list
}

// beSpoiler ignores and blocks whatever can be, and becomes the words after it.
func beSpoiler(args []string) {
	runtime.LockOSThread()
	var all unix.Sigset_t
	for sig := uintptr(1); sig <= 64; sig++ {
		all.Val[0] |= 1 << (sig - 1)
		ignore := [4]uintptr{1}
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil)
	fmt.Println(syscall.Exec(args[0], args, os.Environ()))
}
