package volume

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const unpackStep = "unpack"

// What a name is that is not that of an entry which was unpacked.
const (
	aDirectory = -1
	noEntry    = -2
)

func (u *unpacker) makeDirs(name string) error {
	if kind, seen := u.names[name]; name == "." || seen && kind == aDirectory {
		return nil
	}
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := u.take(name, aDirectory); err != nil || !u.writes(name) {
		return err
	}
	return entryError(name, u.dir.Mkdir(unpackStep, name, 0o755))
}

// take refuses a second entry of the same name: where nothing is written, no file system would notice. Directories
// that no entry names count as well.
func (u *unpacker) take(name string, kind int) error {
	if _, taken := u.names[name]; taken {
		return twice(name)
	}
	if len(u.names) >= u.limits.Entries {
		return u.tooMany()
	}
	u.names[name] = kind
	return nil
}

func (u *unpacker) writes(name string) bool {
	return u.dir != nil && !u.present[treeOf(name)] && (!u.lean || slices.Contains([]string{releaseDir, binDir}, topOf(name)))
}

func topOf(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
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

func twice(name string) error {
	return refuse(UnsafeEntry, "the package holds %q twice, or as a file and as a directory", name)
}

// addLink accepts links that stay within their application: nothing else is published together. A ".." that
// is not at the front could be the parent of where another link leads.
func (u *unpacker) addLink(name, target string) error {
	resolved := path.Join(path.Dir(name), target)
	if len(target) > u.limits.NameBytes {
		return nameTooLong(target)
	}
	if path.Clean(target) != target || path.IsAbs(target) || strings.ContainsFunc(target, isControl) || treeOf(resolved) != treeOf(name) {
		return refuse(UnsafePath, "a link in the package leads out of %s: %q to %.200q", treeOf(name), name, target)
	}
	u.links = append(u.links, linkEntry(name, target))
	return nil
}

func (u *unpacker) makeLinks() error {
	if err := u.checkCircles(); err != nil {
		return err
	}
	for _, l := range u.links {
		if err := u.makeDirs(path.Dir(l.Path)); err != nil {
			return err
		}
		if err := u.take(l.Path, noEntry); err != nil {
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

// checkCircles refuses links that the kernel could not follow.
func (u *unpacker) checkCircles() error {
	targets := map[string]string{}
	for _, l := range u.links {
		targets[l.Path] = path.Join(path.Dir(l.Path), l.Target)
	}
	for _, l := range u.links {
		at, hops := l.Path, 0
		for next, leads := follow(targets, at); leads; next, leads = follow(targets, at) {
			if at, hops = next, hops+1; hops > mostLinks {
				return refuse(UnsafePath, "links in the package lead in a circle, or through more than %d others: %q to %.200q", mostLinks, l.Path, l.Target)
			}
		}
	}
	return nil
}

const mostLinks = 40 // that the kernel follows for one name (MAXSYMLINKS)

// follow replaces the first link of a name by its target.
func follow(targets map[string]string, name string) (string, bool) {
	for end := 0; end < len(name); end++ {
		slash := strings.IndexByte(name[end:], '/')
		if slash < 0 {
			slash = len(name) - end
		}
		end += slash
		if target, is := targets[name[:end]]; is {
			return path.Join(target, name[end:]), true
		}
	}
	return name, false
}

// addHardLink accepts one more name for a file that came before it, in the same application: tar writes one for each
// further name that it meets. Its bytes count again, as they will when the release is compared with its MANIFEST.
func (u *unpacker) addHardLink(name, target string) error {
	at, seen := u.names[strings.TrimPrefix(target, "./")]
	if !seen || at < 0 || treeOf(u.entries[at].Path) != treeOf(name) {
		return refuse(UnsafeEntry, "the package holds a hard link to what is no file before it in %s, %q to %.200q: tar --hard-dereference writes files instead", treeOf(name), name, target)
	}
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := u.take(name, len(u.entries)); err != nil {
		return err
	}
	file := u.entries[at]
	if u.inflated.n += file.Size; u.inflated.n > u.limits.UnpackedBytes {
		return u.limits.unpacksTooLarge()
	}
	if u.writes(name) {
		if err := u.dir.Link(unpackStep, file.Path, name); err != nil {
			return entryError(name, err)
		}
	}
	file.Path = name
	u.entries = append(u.entries, file)
	return nil
}

// addFile keeps of the mode whether the file can be executed.
func (u *unpacker) addFile(name string, mode fs.FileMode, content io.Reader) error {
	if err := u.makeDirs(path.Dir(name)); err != nil {
		return err
	}
	if err := u.take(name, len(u.entries)); err != nil {
		return err
	}
	mode = plainMode(mode)
	if name == cookieFile {
		mode = 0o600
	}
	u.sum.Reset()
	n, err := u.writeFile(name, mode, content)
	if err != nil {
		return err
	}
	if !u.present[treeOf(name)] {
		u.needed += n
	}
	if holdsCode(name) {
		if err := u.code.note(name); err != nil {
			return err
		}
	}
	u.entries = append(u.entries, entry{Path: name, Mode: mode, Size: n, Sum: hex.EncodeToString(u.sum.Sum(nil))})
	return nil
}

func (u *unpacker) writeFile(name string, mode fs.FileMode, content io.Reader) (int64, error) {
	read := io.Writer(u.sum)
	if holdsCode(name) {
		read = io.MultiWriter(u.sum, &u.code)
	}
	content = struct{ io.Reader }{io.TeeReader(content, read)}
	if !u.writes(name) {
		return io.CopyBuffer(struct{ io.Writer }{io.Discard}, content, u.buf)
	}
	f, err := u.dir.Create(unpackStep, name, mode)
	if err != nil {
		return 0, entryError(name, err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, content, u.buf)
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
