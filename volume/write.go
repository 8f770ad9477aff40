package volume

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

const unpackStep = "unpack"

func (u *unpacker) makeDirs(name string) error {
	if name == "." || u.names[name] {
		return nil
	}
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := u.take(name, true); err != nil || !u.writes(name) {
		return err
	}
	return entryError(name, u.dir.Mkdir(unpackStep, name, 0o755))
}

// take refuses a second entry of the same name: where nothing is written, no file system would notice.
func (u *unpacker) take(name string, isDir bool) error {
	if _, taken := u.names[name]; taken {
		return twice(name)
	}
	u.names[name] = isDir
	return nil
}

func (u *unpacker) writes(name string) bool {
	return !u.present[treeOf(name)] && (!u.lean || name == releaseDir || strings.HasPrefix(name, releaseDir+"/"))
}

// entryError finds the words for names that do not go together.
func entryError(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR):
		return twice(name)
	case errors.Is(err, unix.ENAMETOOLONG):
		return nameTooLong(name)
	}
	return err
}

func twice(name string) error { return refuse(UnsafeEntry, "the package holds %q twice", name) }

func nameTooLong(name string) error {
	return refuse(UnsafePath, "a name in the package is too long: %.200q", name)
}

// addLink accepts links that stay within their application: nothing else is published together. A ".." that
// is not at the front could be the parent of where another link leads.
func (u *unpacker) addLink(name, target string) error {
	resolved := path.Join(path.Dir(name), target)
	if path.Clean(target) != target || path.IsAbs(target) || strings.ContainsFunc(target, isControl) || treeOf(resolved) != treeOf(name) {
		return refuse(UnsafePath, "a link in the package leads out of %s: %q to %.200q", treeOf(name), name, target)
	}
	u.links = append(u.links, linkEntry(name, target))
	return nil
}

func (u *unpacker) makeLinks() error {
	for _, l := range u.links {
		if err := u.makeDirs(path.Dir(l.Path)); err != nil {
			return err
		}
		if err := u.take(l.Path, false); err != nil {
			return err
		}
		if !u.writes(l.Path) {
			continue
		}
		if err := u.dir.Symlink(unpackStep, l.Target, l.Path); err != nil {
			return entryError(l.Path, err)
		}
	}
	u.entries = append(u.entries, u.links...)
	return nil
}

// addFile keeps of the mode whether the file can be executed.
func (u *unpacker) addFile(name string, mode fs.FileMode, content io.Reader) error {
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := u.take(name, false); err != nil {
		return err
	}
	mode = plainMode(mode)
	u.sum.Reset()
	n, err := u.writeFile(name, mode, content)
	if err != nil {
		return err
	}
	u.entries = append(u.entries, entry{Path: name, Mode: mode, Size: n, Sum: hex.EncodeToString(u.sum.Sum(nil))})
	return nil
}

func (u *unpacker) writeFile(name string, mode fs.FileMode, content io.Reader) (int64, error) {
	if !u.writes(name) {
		return u.copy(io.Discard, content)
	}
	f, err := u.dir.Create(unpackStep, name, mode)
	if err != nil {
		return 0, entryError(name, err)
	}
	n, err := u.copy(f, content)
	if err == nil {
		err = f.Chmod(mode) // whatever the umask is
	}
	return n, errors.Join(err, f.Close())
}

func plainMode(mode fs.FileMode) fs.FileMode {
	if mode&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// copy writes and hashes, within the limits.
func (u *unpacker) copy(w io.Writer, r io.Reader) (int64, error) {
	var copied int64
	for {
		n, err := r.Read(u.buf)
		copied += int64(n)
		u.bytes += int64(n)
		if err := u.checkSize(); err != nil {
			return copied, err
		}
		if n > 0 {
			u.sum.Write(u.buf[:n])
			if _, err := w.Write(u.buf[:n]); err != nil {
				return copied, err
			}
		}
		if errors.Is(err, io.EOF) {
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
	}
}

func (u *unpacker) checkSize() error {
	if u.bytes > u.limits.UnpackedBytes {
		return refuse(TooLarge, "the package unpacks to more than %d bytes", u.limits.UnpackedBytes)
	}
	if u.bytes > freeRatioBytes && u.bytes > u.limits.Ratio*u.source.n.Load() {
		return refuse(TooLarge, "the package unpacks to more than %d times its size", u.limits.Ratio)
	}
	return nil
}
