package signals

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit statuses of a command that did not start, as of a shell (POSIX, 2.8.2).
const (
	statusNotExecutable = 126
	statusNotFound      = 127
)

// startError is a command that could not be started.
type startError struct {
	name string
	err  error
}

func (e *startError) Error() string { return fmt.Sprintf("cannot start %s: %v", e.name, e.err) }
func (e *startError) Unwrap() error { return e.err }

func (e *startError) status() int {
	if absent(e.err) {
		return statusNotFound
	}
	return statusNotExecutable
}

func absent(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

// lookUp tries the places of a command as execvp(3) does: a name with a slash is a path, any other one is
// tried in each directory of PATH, the working directory where an element is empty. One that may not be
// executed is remembered, and reported if no other one is found. Unlike execvp it gives no file without a
// known format to /bin/sh.
func lookUp(name string, env []string, try func(path string) error) error {
	if strings.Contains(name, "/") || name == "" {
		return failed(name, orAbsent(name, try))
	}
	var denied error
	for dir := range strings.SplitSeq(searchPath(env), ":") {
		path := name
		if dir != "" {
			path = dir + "/" + name
		}
		err := orAbsent(path, try)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EACCES):
			denied = failed(path, err)
		case !absent(err):
			return failed(path, err)
		}
	}
	if denied != nil {
		return denied
	}
	return &startError{name, unix.ENOENT}
}

func failed(path string, err error) error {
	if err == nil {
		return nil
	}
	return &startError{path, err}
}

// orAbsent spares the fork where nothing is.
func orAbsent(path string, try func(string) error) error {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return err
	}
	return try(path)
}

// searchPath is PATH, or what the C library has for want of one.
func searchPath(env []string) string {
	for _, variable := range env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			return path
		}
	}
	return "/bin:/usr/bin"
}

// Sockets that were opened for the command (sd_listen_fds(3)) come as files 3 and up, with their number in
// LISTEN_FDS, and with LISTEN_PID so that nobody else takes them for its own. The command is meant, but the
// agent is named.

// sockets is how many files from 3 on are the command's.
func sockets(env []string) int {
	n, pid := 0, 0
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case "LISTEN_FDS":
			n, _ = strconv.Atoi(value)
		case "LISTEN_PID":
			pid, _ = strconv.Atoi(value)
		}
	}
	if pid != os.Getpid() || n < 0 {
		return 0
	}
	for fd := 3; fd < 3+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return 0
		}
	}
	return n
}

// Become turns this process into the command, with its own pid as LISTEN_PID. It returns only when that
// fails, with the status to exit with.
func Become(args, env []string) (int, error) {
	own := make([]string, 0, len(env)+1)
	for _, variable := range env {
		if !strings.HasPrefix(variable, "LISTEN_PID=") && !strings.HasPrefix(variable, "LISTEN_PIDFDID=") {
			own = append(own, variable)
		}
	}
	own = append(own, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	return startStatus(lookUp(args[0], env, func(path string) error { return syscall.Exec(path, args, own) }))
}

func startStatus(err error) (int, error) {
	var e *startError
	if errors.As(err, &e) {
		return e.status(), err
	}
	return statusNotExecutable, err
}
