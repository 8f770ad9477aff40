package signals

import "syscall"

// The soft nofile limit of a node matters: erts sizes its port table from it, and a container's 2^30 costs
// two gigabytes. It cannot be set on the child: Go has no hook between fork and exec, prlimit(2) after the
// start races with the BEAM reading it, ptrace and a shim of one's own are more than a number is worth. So
// it is set on the agent around the fork, and inherited.

// restoreNofile undoes what the Go runtime does at start: it raises the soft limit to the hard one, keeps
// the old value to itself, and gives that to children unless the process sets a limit of its own, which we
// are about to do. syscall.Exec puts the old value back before it tries, and an empty path fails (execve(2),
// ENOENT) without having changed anything else. From then on children inherit what we have.
func restoreNofile() {
	_ = syscall.Exec("", nil, nil)
}

// withNofile runs start while the soft limit is at most soft; 0 leaves it. A file that the agent opens in
// the same moment counts against the lower limit.
func withNofile(soft uint64, start func() error) error {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		return err
	}
	if soft == 0 || before.Cur <= soft {
		return start()
	}
	lowered := syscall.Rlimit{Cur: soft, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		return err
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }()
	return start()
}
