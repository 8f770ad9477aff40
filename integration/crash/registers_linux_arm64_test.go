package crash

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	ntPrstatus   = 1
	noSuchCall   = int32(-1)
	callRegister = unix.NT_ARM_SYSTEM_CALL
)

// refuse has a call that is about to begin not happen: there is none of that number.
func refuse(tid int) error {
	number := noSuchCall
	vec := unix.Iovec{Base: (*byte)(unsafe.Pointer(&number)), Len: uint64(unsafe.Sizeof(number))}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETREGSET, uintptr(tid), callRegister, uintptr(unsafe.Pointer(&vec)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// result replaces what a call that has ended returns.
func result(tid int, value int64) error {
	var regs unix.PtraceRegsArm64
	if err := unix.PtraceGetRegSetArm64(tid, ntPrstatus, &regs); err != nil {
		return err
	}
	regs.Regs[0] = uint64(value)
	return unix.PtraceSetRegSetArm64(tid, ntPrstatus, &regs)
}
