package volume

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// disk is the file system as this package uses it. Whatever changes it is told the step that it is a part of: tests let
// the power fail behind each change of each step, and make each of them fail (docs/reliability.md).
type disk interface {
	maker
	Append(step, path string, mode fs.FileMode) (writer, error) // makes the file where it is missing
	Rename(step, from, to string) error
	Remove(step, path string) error
	RemoveAll(step, path string) error
	SyncDir(step, path string) error // the names in the directory, not what they stand for
	Lock(path string) (lock, error)
	Enter(path string) (inside, error)

	Open(path string) (io.ReadSeekCloser, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	Lstat(path string) (fs.FileInfo, error)
	Stat(path string) (fs.FileInfo, error)
	Readlink(path string) (string, error)
	Free(path string) (space, error)
}

// maker makes what is not there. It replaces nothing, and follows no link at the end of a name.
type maker interface {
	Create(step, name string, mode fs.FileMode) (writer, error)
	Mkdir(step, name string, mode fs.FileMode) error
	Symlink(step, target, name string) error
}

// writer is a file that is being written.
type writer interface {
	io.WriteCloser
	Chmod(mode fs.FileMode) error
	Sync() error
}

// inside is a directory out of which no name leads, whatever links are in it.
type inside interface {
	maker
	Link(step, from, name string) error // a hard link
	io.Closer
}

// lock keeps other agents out until it is closed.
type lock interface {
	// SyncFS makes everything on the file system durable: for the many files of a package that is ten times cheaper
	// than an fsync of each. It reports every write error since the lock was taken (Linux 5.8).
	SyncFS(step string) error
	// Before is the owner before, where that did not give the lock back: it was killed, or its machine lost power.
	Before() Owner
	io.Closer
}

// space is what an unprivileged writer can still have.
type space struct{ bytes, files int64 }

// osDisk is the real one.
type osDisk struct{ agent string } // whose version others are told

func (osDisk) Create(_, path string, mode fs.FileMode) (writer, error) {
	return written(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode))
}

func (osDisk) Append(_, path string, mode fs.FileMode) (writer, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, mode)
}

func (osDisk) Mkdir(_, path string, mode fs.FileMode) error { return os.Mkdir(path, mode) }
func (osDisk) Symlink(_, target, path string) error         { return os.Symlink(target, path) }
func (osDisk) Rename(_, from, to string) error              { return os.Rename(from, to) }
func (osDisk) Remove(_, path string) error                  { return os.Remove(path) }
func (osDisk) RemoveAll(_, path string) error               { return os.RemoveAll(path) }
func (osDisk) Open(path string) (io.ReadSeekCloser, error)  { return os.Open(path) }
func (osDisk) ReadDir(path string) ([]fs.DirEntry, error)   { return os.ReadDir(path) }
func (osDisk) Lstat(path string) (fs.FileInfo, error)       { return os.Lstat(path) }
func (osDisk) Stat(path string) (fs.FileInfo, error)        { return os.Stat(path) }
func (osDisk) Readlink(path string) (string, error)         { return os.Readlink(path) }

// osFile has the kernel write to the disk while more comes, so that a sync has little left to wait for.
type osFile struct {
	*os.File
	length, begun int64
}

func written(f *os.File, err error) (writer, error) {
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

const writeback = 4 << 20 // bytes

func (f *osFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.length += int64(n); f.length-f.begun >= writeback {
		// No file system owes it, and it promises nothing.
		_ = unix.SyncFileRange(int(f.Fd()), f.begun, f.length-f.begun, unix.SYNC_FILE_RANGE_WRITE)
		f.begun = f.length
	}
	return n, err
}

func (osDisk) SyncDir(_, path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osDisk) Free(path string) (space, error) {
	var s unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Statfs(path, &s) }); err != nil {
		return space{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	free := space{bytes: int64(s.Bavail) * s.Bsize, files: int64(s.Ffree)}
	if s.Files == 0 { // Btrfs and others do not count them
		free.files = maxFiles
	}
	return free, nil
}

const maxFiles = 1 << 60

// uninterrupted makes a call again that a signal has interrupted, as os does with its own: on a file system that waits for
// another one, a server or a daemon, any signal may.
func uninterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (osDisk) Enter(path string) (inside, error) {
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return osRoot{dir}, nil
}

// osRoot is an os.Root: it refuses "..", and links that lead out, at every component.
type osRoot struct{ *os.Root }

func (r osRoot) Create(_, name string, mode fs.FileMode) (writer, error) {
	return written(r.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode))
}

func (r osRoot) Mkdir(_, name string, mode fs.FileMode) error { return r.Root.Mkdir(name, mode) }
func (r osRoot) Link(_, from, name string) error              { return r.Root.Link(from, name) }
func (r osRoot) Symlink(_, target, name string) error         { return r.Root.Symlink(target, name) }

// readDisk is the real one for who does not own the volume: whatever would change something is refused.
type readDisk struct{ osDisk }

var errNotOurs = errors.New("the volume is only looked at")

func (readDisk) Create(_, _ string, _ fs.FileMode) (writer, error) { return nil, errNotOurs }
func (readDisk) Append(_, _ string, _ fs.FileMode) (writer, error) { return nil, errNotOurs }
func (readDisk) Mkdir(_, _ string, _ fs.FileMode) error            { return errNotOurs }
func (readDisk) Symlink(_, _, _ string) error                      { return errNotOurs }
func (readDisk) Rename(_, _, _ string) error                       { return errNotOurs }
func (readDisk) Remove(_, _ string) error                          { return errNotOurs }
func (readDisk) RemoveAll(_, _ string) error                       { return errNotOurs }
func (readDisk) SyncDir(_, _ string) error                         { return errNotOurs }
func (readDisk) Lock(string) (lock, error)                         { return nil, errNotOurs }
func (readDisk) Enter(string) (inside, error)                      { return nil, errNotOurs }
