package crash

import "golang.org/x/sys/unix"

// refuse has a call that is about to begin not happen: there is none of that number.
func refuse(tid int) error {
	var regs unix.PtraceRegsAmd64
	if err := unix.PtraceGetRegsAmd64(tid, &regs); err != nil {
		return err
	}
	regs.Orig_rax = ^uint64(0)
	return unix.PtraceSetRegsAmd64(tid, &regs)
}

// result replaces what a call that has ended returns.
func result(tid int, value int64) error {
	var regs unix.PtraceRegsAmd64
	if err := unix.PtraceGetRegsAmd64(tid, &regs); err != nil {
		return err
	}
	regs.Rax = uint64(value)
	return unix.PtraceSetRegsAmd64(tid, &regs)
}
