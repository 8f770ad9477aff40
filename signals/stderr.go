package signals

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Stderr writes to standard error in a process that forwards signals: what os.Stderr does brings signals
// about that nobody sent. Without a reader that is PIPE, from the background of a terminal with tostop it is
// TTOU. Nor does it wait: a line for which the reader has no room is lost.
type Stderr struct{}

func (Stderr) Write(line []byte) (n int, err error) {
	blocking([]unix.Signal{unix.SIGPIPE, unix.SIGTTOU}, func() {
		room := []unix.PollFd{{Fd: 2, Events: unix.POLLOUT}}
		if ready, _ := unix.Poll(room, 0); ready != 1 {
			err = errors.New("standard error takes no more")
			return
		}
		n, err = unix.Write(2, line)
	})
	return n, err
}
