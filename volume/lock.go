package volume

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockedError says that another agent holds the volume.
type LockedError struct {
	Holder string // its pid and container, as it wrote them itself
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another agent holds it: %s", cmp.Or(e.Holder, "unknown"))
}

// Lock takes the flock, or tells who has it. The kernel gives it back with the holder's last descriptor,
// so there are no stale locks; the file itself is never removed.
func (osDisk) Lock(path string) (lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		holder, _ := os.ReadFile(path) // for humans only
		f.Close()
		return nil, &LockedError{Holder: strings.TrimSpace(string(holder))}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	writeHolder(f)
	return osLock{f}, nil
}

type osLock struct{ *os.File }

func (l osLock) SyncFS(string) error {
	if err := unix.Syncfs(int(l.Fd())); err != nil {
		return fmt.Errorf("cannot sync the file system: %w", err)
	}
	return nil
}

// writeHolder is not made durable: it is read only while its writer lives. On a full disk the holder is unknown.
func writeHolder(f *os.File) {
	host, _ := os.Hostname()
	line := fmt.Sprintf("pid %d in container %s since %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339))
	if f.Truncate(0) == nil {
		_, _ = f.WriteString(line)
	}
}
