package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const manifestName = "MANIFEST"

// entry is one file or link of a release, as it was unpacked. A line of MANIFEST is
//
//	mode size sha256 "path below the root"
//
// with the mode in octal; a link has mode 120777, and size and digest of its target.
type entry struct {
	Path   string
	Mode   fs.FileMode // 0644, 0755, of a cookie 0600, or fs.ModeSymlink
	Size   int64
	Sum    string
	Target string // of a link; not in the manifest
}

func linkEntry(path, target string) entry {
	return entry{Path: path, Mode: fs.ModeSymlink, Size: int64(len(target)), Sum: digestOf([]byte(target)), Target: target}
}

// treeOf is the part of a path that is published as one: "lib/demo-1.0.0", "erts-13.1.5", "releases/1.0.0".
func treeOf(path string) string {
	parts := strings.SplitN(path, "/", 3)
	if len(parts) > 1 && (parts[0] == libDir || parts[0] == releaseDir) {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

func encodeManifest(entries []entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		mode := uint32(e.Mode.Perm())
		if e.Mode&fs.ModeSymlink != 0 {
			mode = 0o120777
		}
		fmt.Fprintf(&b, "%o %d %s %q\n", mode, e.Size, e.Sum, e.Path)
	}
	return b.Bytes()
}

func decodeManifest(text []byte) ([]entry, error) {
	var entries []entry
	for line := range strings.Lines(string(text)) {
		e, err := decodeEntry(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(entries)+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func decodeEntry(line string) (e entry, err error) {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) != 4 {
		return e, errors.New("it is not mode, size, digest and path")
	}
	mode, err := strconv.ParseUint(fields[0], 8, 32)
	if err == nil {
		e.Size, err = strconv.ParseInt(fields[1], 10, 64)
	}
	if err == nil {
		e.Path, err = strconv.Unquote(fields[3])
	}
	e.Mode, e.Sum = fs.FileMode(mode), fields[2]
	switch {
	case err != nil:
	case mode == 0o120777:
		e.Mode = fs.ModeSymlink
	case mode != 0o600 && mode != 0o644 && mode != 0o755:
		err = fmt.Errorf("no file has mode %o", mode)
	}
	if err == nil && (e.Size < 0 || !fs.ValidPath(e.Path)) {
		err = errors.New("its size or its path is none")
	}
	return e, err
}

// hasher reads files back; its buffer is used for all of them.
type hasher struct {
	disk disk
	buf  []byte
}

func (v *Volume) newHasher() *hasher { return &hasher{disk: v.disk, buf: make([]byte, v.buffer)} }

// read describes what is at root/path now.
func (h *hasher) read(root, path string) (entry, error) {
	full := filepath.Join(root, path)
	info, err := h.disk.Lstat(full)
	if err != nil {
		return entry{}, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := h.disk.Readlink(full)
		return linkEntry(path, target), err
	case !info.Mode().IsRegular():
		return entry{Path: path, Mode: info.Mode()}, nil
	}
	sum, err := h.digest(full)
	return entry{Path: path, Mode: info.Mode(), Size: info.Size(), Sum: sum}, err
}

func (h *hasher) digest(path string) (string, error) {
	f, err := h.disk.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{f}, h.buf); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// compare returns the first of the entries that is not there as described, and why; "" when all are.
func (h *hasher) compare(root string, want []entry) (path, reason string, err error) {
	for _, w := range want {
		got, err := h.read(root, w.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return w.Path, "is missing", nil
		case err != nil:
			return "", "", err
		case got.Size != w.Size:
			return w.Path, fmt.Sprintf("has %d bytes, not %d", got.Size, w.Size), nil
		case got.Mode != w.Mode:
			return w.Path, fmt.Sprintf("has mode %v, not %v", got.Mode, w.Mode), nil
		case got.Sum != w.Sum:
			return w.Path, "has other content", nil
		}
	}
	return "", "", nil
}

// differs is compare for one whole tree: a file that nobody expects is a difference too.
func (h *hasher) differs(root, tree string, want []entry) (path, reason string, err error) {
	if path, reason, err = h.compare(root, want); path != "" || err != nil {
		return path, reason, err
	}
	if !isRealDir(h.disk, filepath.Join(root, tree)) {
		return tree, "is no directory", nil
	}
	err = walkFiles(h.disk, filepath.Join(root, tree), func(full string) error {
		name, err := filepath.Rel(root, full)
		if _, expected := find(want, name); err == nil && !expected && filepath.Base(name) != manifestName {
			path, reason = name, "is not in the package"
			return fs.SkipAll
		}
		return err
	})
	if errors.Is(err, fs.SkipAll) {
		err = nil
	}
	return path, reason, err
}

// below returns the entries of one tree; in sorted entries they stand together.
func below(entries []entry, tree string) []entry {
	from, _ := find(entries, tree+"/")
	to, _ := find(entries, tree+"0") // '0' follows '/'
	return entries[from:to]
}

func find(entries []entry, path string) (int, bool) {
	return slices.BinarySearchFunc(entries, path, func(e entry, path string) int { return strings.Compare(e.Path, path) })
}

// treesOf lists the trees of the entries, in order.
func treesOf(entries []entry) []string {
	var trees []string
	for _, e := range entries {
		if t := treeOf(e.Path); len(trees) == 0 || trees[len(trees)-1] != t {
			trees = append(trees, t)
		}
	}
	slices.Sort(trees)
	return slices.Compact(trees)
}

// sortEntries orders by path, byte by byte.
func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
}
