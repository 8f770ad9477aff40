package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// Socket is the control socket under its name.
type Socket struct {
	*net.UnixListener
	path string
}

// gone tells whether somebody has taken the name away, as a cleaner of /run does: nobody could ask any more.
func (s *Socket) gone() bool {
	_, err := os.Lstat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// Listen makes the socket. It appears under its name with its mode, at once; one that another agent answers
// on is not taken away, one that a dead agent left behind is.
func Listen(ctx context.Context, path string) (*Socket, error) {
	if c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("cannot listen on %s: another agent answers there", path)
	}
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	os.Remove(temp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(temp, 0o666)
	if err == nil {
		err = syscall.Rename(temp, path)
	}
	if err != nil {
		l.Close()
		os.Remove(temp)
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return &Socket{l, path}, nil
}
