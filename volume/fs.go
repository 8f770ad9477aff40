package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Everything that must survive a crash goes through the few functions of this file. Each of them has made
// its change durable when it returns nil; after an error nothing is known about the change.

const temporarySuffix = ".tmp"

// replaceFile gives path this content, or leaves it as it was.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	temporary := temporaryName(path)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(temporary, content, mode); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return rename(temporary, path)
}

// temporaryName is in the same directory, because a rename is atomic there alone.
func temporaryName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+temporarySuffix)
}

func writeFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return closeSynced(f, err)
}

// closeSynced ends the writing of a file. NFS reports a full disk only at the close.
func closeSynced(f *os.File, written error) error {
	if written == nil {
		written = f.Sync()
	}
	return errors.Join(written, f.Close())
}

// rename moves a file or a directory whose own content is durable already.
func rename(from, to string) error {
	return renameAll([]move{{from, to}})
}

// move is one rename of several.
type move struct{ from, to string }

// renameAll renames in order and makes all of it durable at the end.
func renameAll(moves []move) error {
	parents := map[string]bool{}
	for _, m := range moves {
		if err := os.Rename(m.from, m.to); err != nil {
			return err
		}
		parents[filepath.Dir(m.from)], parents[filepath.Dir(m.to)] = true, true
	}
	for parent := range parents {
		if err := syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceLink makes path a symbolic link to the target, without a moment in which it is not there.
func replaceLink(target, path string) error {
	temporary := temporaryName(path)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return rename(temporary, path)
}

// makeDir makes a directory that must be there after a crash. That it exists is fine.
func makeDir(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncFS makes everything on the file system durable: for the many files of a package that is ten times
// cheaper than an fsync of each. It reports write errors of any of them (Linux 5.8).
func syncFS(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return errors.Join(fmt.Errorf("cannot sync the file system: %w", err), d.Close())
	}
	return d.Close()
}

// freeBytes is what an unprivileged writer can still have.
func freeBytes(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// holds tells whether the file has exactly this content.
func holds(path string, content []byte) bool {
	have, err := os.ReadFile(path)
	return err == nil && bytes.Equal(have, content)
}

// directoryNames lists a directory that may not be there.
func directoryNames(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
