package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Owner is the agent that holds a volume, as it wrote it down itself. The lock decides; this is for people.
type Owner struct {
	Host  string    `json:"host"` // the container's hostname
	PID   int       `json:"pid"`  // in its own namespace
	Agent string    `json:"agent,omitempty"`
	Since time.Time `json:"since"`
}

func (o Owner) String() string {
	if o.Host == "" {
		return "unknown"
	}
	text := fmt.Sprintf("pid %d in container %s since %s", o.PID, o.Host, o.Since.Format(time.RFC3339))
	if o.Agent != "" {
		text += ", agent " + o.Agent
	}
	return text
}

// LockedError says that another agent holds the volume.
type LockedError struct {
	Holder Owner
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another agent holds it, and must stop first: %s", e.Holder)
}

// Lock takes the flock, or tells who has it. The kernel gives it back with the holder's last descriptor, so there are no
// stale locks; the file itself is never removed.
func (d osDisk) Lock(path string) (lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = uninterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	before := readOwner(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return nil, &LockedError{Holder: before}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	host, _ := os.Hostname()
	writeOwner(f, Owner{Host: host, PID: os.Getpid(), Agent: d.agent, Since: time.Now().UTC()})
	return osLock{f, before}, nil
}

type osLock struct {
	*os.File
	before Owner
}

func (l osLock) SyncFS(string) error {
	if err := uninterrupted(func() error { return unix.Syncfs(int(l.Fd())) }); err != nil {
		return fmt.Errorf("cannot sync the file system: %w", err)
	}
	return nil
}

func (l osLock) Before() Owner { return l.before }

// Close ends the ownership in order: nobody is named in the file any more.
func (l osLock) Close() error { return errors.Join(l.Truncate(0), l.File.Close()) }

// readOwner is nobody where the file says nothing that can be read.
func readOwner(f *os.File) Owner {
	var o Owner
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 4<<10))
	if err != nil || json.Unmarshal(text, &o) != nil {
		return Owner{}
	}
	return o
}

// writeOwner is not made durable: it matters while its writer lives, and where it ended without a farewell on a
// machine that runs on. On a full disk the owner is unknown.
func writeOwner(f *os.File, o Owner) {
	text, err := json.Marshal(o)
	if err == nil && f.Truncate(0) == nil {
		_, _ = f.WriteAt(append(text, '\n'), 0)
	}
}
