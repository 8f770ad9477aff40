package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// step is a part of an operation: the disk, and what it is told that its changes are for.
type step struct {
	disk
	name string
}

func (v *Volume) step(name string) step { return step{v.disk, name} }

const temporarySuffix = ".tmp"

// replaceFile gives path this content, or leaves it as it was. It is durable when nil is returned; after an error
// nothing is known.
func (s step) replaceFile(path string, content []byte, mode fs.FileMode) error {
	if err := s.exchangeFile(path, content, mode, closeSynced); err != nil {
		return err
	}
	return s.SyncDir(s.name, filepath.Dir(path))
}

// exchangeFile is replaceFile for what is written anew before it is needed: a crash of the machine may leave anything.
func (s step) exchangeFile(path string, content []byte, mode fs.FileMode, end func(writer, error) error) error {
	temporary := temporaryName(path)
	if err := s.removeFile(temporary); err != nil {
		return err
	}
	err := s.writeFile(temporary, content, mode, end)
	if err == nil {
		err = s.Rename(s.name, temporary, path)
	}
	if err != nil {
		return errors.Join(err, s.removeFile(temporary))
	}
	return nil
}

// temporaryName is in the same directory, because a rename is atomic there alone.
func temporaryName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+temporarySuffix)
}

func (s step) writeFile(path string, content []byte, mode fs.FileMode, end func(writer, error) error) error {
	f, err := s.Create(s.name, path, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return end(f, err)
}

// closeSynced ends the writing of a file that must survive. After an error of fsync the kernel takes for written what is not,
// so nobody asks a second time: the file is given up.
func closeSynced(f writer, written error) error {
	if written == nil {
		written = f.Sync()
	}
	return errors.Join(written, f.Close())
}

// closeUnsynced ends the writing of any other one. NFS reports a full disk only here.
func closeUnsynced(f writer, written error) error { return errors.Join(written, f.Close()) }

// removeFile removes a file that may not be there.
func (s step) removeFile(path string) error {
	if err := s.Remove(s.name, path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replaceLink makes path a symbolic link to the target, without a moment in which it is not there.
func (s step) replaceLink(target, path string) error {
	temporary := temporaryName(path)
	if err := s.removeFile(temporary); err != nil {
		return err
	}
	err := s.Symlink(s.name, target, temporary)
	if err == nil {
		err = s.Rename(s.name, temporary, path)
	}
	if err != nil {
		return errors.Join(err, s.removeFile(temporary))
	}
	return nil
}

// makeDir makes a directory, and those above it. That it exists is fine.
func (s step) makeDir(path string, mode fs.FileMode) error {
	err := s.Mkdir(s.name, path, mode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path):
		if err := s.makeDir(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return s.Mkdir(s.name, path, mode)
	}
	return err
}

// syncParents makes the names of trees durable.
func (s step) syncParents(paths []string) error {
	synced := map[string]bool{}
	for _, path := range paths {
		parent := filepath.Dir(path)
		if synced[parent] {
			continue
		}
		synced[parent] = true
		if err := s.SyncDir(s.name, parent); err != nil {
			return err
		}
	}
	return nil
}

// emptyDir removes everything in a directory that may not be there.
func (s step) emptyDir(path string) error {
	names, err := directoryNames(s, path)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, s.RemoveAll(s.name, filepath.Join(path, name)))
	}
	return errors.Join(errs...)
}

func readFile(d disk, path string) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// mostOwn is more than any file of the agent's own has, bytes.
const mostOwn = 32 << 20

// readOwn reads one of these. The node could have put something else in its place, which must neither hold the agent up, as a pipe
// would, nor fill its memory.
func readOwn(d disk, path string) ([]byte, error) {
	info, err := d.Lstat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case info.Size() > mostOwn:
		return nil, fmt.Errorf("%s has %d bytes, which the agent never wrote", path, info.Size())
	}
	return readFile(d, path)
}

// holds tells whether the file has exactly this content.
func holds(d disk, path string, content []byte) bool {
	have, err := readFile(d, path)
	return err == nil && bytes.Equal(have, content)
}

// directoryNames lists a directory that may not be there.
func directoryNames(d disk, path string) ([]string, error) {
	entries, err := d.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func isDir(d disk, path string) bool {
	info, err := d.Stat(path)
	return err == nil && info.IsDir()
}

func isRealDir(d disk, path string) bool {
	info, err := d.Lstat(path)
	return err == nil && info.IsDir()
}

// walkFiles calls visit for everything below a directory that is none itself.
func walkFiles(d disk, dir string, visit func(path string) error) error {
	entries, err := d.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = walkFiles(d, path, visit)
		} else {
			err = visit(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
