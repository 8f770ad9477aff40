package volume

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// model is a disk in memory that tells what a power cut may leave of it. It keeps for certain what POSIX promises and no
// more: the bytes of a file after its fsync, a name after the fsync of its directory, everything after syncfs. That is less
// than ext4, XFS or Btrfs keep. As on all of these a rename is done or not done, also between two directories.
type model struct {
	top     *node
	asked   bool             // an fsync was tried again after an error
	pending []change         // of names, in the order in which they were made
	before  func(call) error // may refuse a change
	after   func(call)       // sees each change that was made
	mutant  mutation         // does some changes in another way; may be nil
	full    bool             // Free says so
}

// call is one change of the disk.
type call struct {
	step, op, path string
	size           int // of the file before a write
}

func (c call) label() string { return c.step + ": " + c.op }

// node is a file, a link or a directory.
type node struct {
	mode   fs.FileMode
	data   []byte // of a file, the target of a link; never changed in place
	names  map[string]*node
	synced bool // data and mode are kept
	lost   bool // an fsync has failed: what was not kept then never will be

	keptMode fs.FileMode // what a power cut leaves for certain
	keptData []byte
	kept     map[string]*node
	home     *node // the directory that keeps it
	homeName string
}

// change is that a node came to a name, left it, or both.
type change struct {
	node     *node
	from, to *node
	name     string // the new one
}

const modelRoot = "/volume"

// newModel is an empty volume.
func newModel() *model {
	m := &model{top: newNode(fs.ModeDir | 0o755)}
	volume := newNode(fs.ModeDir | 0o755)
	m.top.names["volume"], m.top.kept["volume"] = volume, volume
	volume.home, volume.homeName = m.top, "volume"
	return m
}

func newNode(mode fs.FileMode) *node {
	n := &node{mode: mode, keptMode: mode}
	if mode.IsDir() {
		n.names, n.kept = map[string]*node{}, map[string]*node{}
	}
	return n
}

// apply makes the change one that is kept.
func (c change) apply() {
	n := c.node
	if n.home != nil {
		delete(n.home.kept, n.homeName)
		n.home = nil
	}
	if c.to == nil {
		return
	}
	if replaced := c.to.kept[c.name]; replaced != nil {
		replaced.home = nil
	}
	c.to.kept[c.name], n.home, n.homeName = n, c.to, c.name
}

func (n *node) sync() {
	if !n.synced && !n.lost {
		n.keptData, n.keptMode, n.synced = n.data, n.mode, true
	}
}

func (n *node) changed() { n.synced = false }

// do makes a change, unless it is refused or left out.
func (m *model) do(c call, change func() error) error {
	if m.before != nil {
		if err := m.before(c); err != nil {
			return &fs.PathError{Op: c.op, Path: c.path, Err: err}
		}
	}
	if m.mutant != nil {
		change = m.mutant.of(c, change)
	}
	if err := change(); err != nil {
		return &fs.PathError{Op: c.op, Path: c.path, Err: err}
	}
	if m.after != nil {
		m.after(c)
	}
	if m.mutant != nil {
		return m.mutant.behind(c)
	}
	return nil
}

func (m *model) find(path string) (*node, error) {
	n := m.top
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if name == "" {
			continue
		}
		if !n.mode.IsDir() {
			return nil, unix.ENOTDIR
		}
		if n = n.names[name]; n == nil {
			return nil, unix.ENOENT
		}
	}
	return n, nil
}

func (m *model) parent(path string) (*node, string, error) {
	dir, err := m.find(filepath.Dir(path))
	if err == nil && !dir.mode.IsDir() {
		err = unix.ENOTDIR
	}
	return dir, filepath.Base(path), err
}

// add gives a new node its name.
func (m *model) add(path string, n *node) error {
	dir, name, err := m.parent(path)
	if err != nil {
		return err
	}
	if dir.names[name] != nil {
		return unix.EEXIST
	}
	dir.names[name] = n
	m.pending = append(m.pending, change{node: n, to: dir, name: name})
	return nil
}

func (m *model) Create(step, path string, mode fs.FileMode) (writer, error) {
	n := newNode(mode &^ 0o027) // an umask, so that a Chmod is missed
	err := m.do(call{step: step, op: "create", path: path}, func() error { return m.add(path, n) })
	return &modelWriter{m, n, step, path}, err
}

func (m *model) Append(step, path string, mode fs.FileMode) (writer, error) {
	if n, err := m.find(path); err == nil {
		return &modelWriter{m, n, step, path}, nil
	}
	return m.Create(step, path, mode)
}

func (m *model) Mkdir(step, path string, mode fs.FileMode) error {
	if _, err := m.find(path); err == nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.EEXIST} // the kernel says so even on a disk that fails
	}
	return m.do(call{step: step, op: "mkdir", path: path}, func() error { return m.add(path, newNode(fs.ModeDir|mode)) })
}

func (m *model) Symlink(step, target, path string) error {
	n := newNode(fs.ModeSymlink | 0o777)
	n.data = []byte(target)
	n.sync() // it is a part of its name
	return m.do(call{step: step, op: "symlink", path: path}, func() error { return m.add(path, n) })
}

func (m *model) Rename(step, from, to string) error {
	return m.do(call{step: step, op: "rename", path: to}, func() error {
		fromDir, fromName, err := m.parent(from)
		if err != nil {
			return err
		}
		toDir, toName, err := m.parent(to)
		if err != nil {
			return err
		}
		n, replaced := fromDir.names[fromName], toDir.names[toName]
		switch {
		case n == nil:
			return unix.ENOENT
		case replaced != nil && replaced.mode.IsDir() && len(replaced.names) > 0:
			return unix.ENOTEMPTY
		case replaced != nil && replaced.mode.IsDir() != n.mode.IsDir():
			return unix.ENOTDIR
		}
		delete(fromDir.names, fromName)
		toDir.names[toName] = n
		m.pending = append(m.pending, change{node: n, from: fromDir, to: toDir, name: toName})
		return nil
	})
}

func (m *model) Remove(step, path string) error {
	if _, err := m.find(path); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err} // likewise
	}
	return m.do(call{step: step, op: "remove", path: path}, func() error {
		dir, name, err := m.parent(path)
		if err != nil {
			return err
		}
		n := dir.names[name]
		if len(n.names) > 0 {
			return unix.ENOTEMPTY
		}
		delete(dir.names, name)
		m.pending = append(m.pending, change{node: n, from: dir})
		return nil
	})
}

func (m *model) RemoveAll(step, path string) error {
	n, err := m.find(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		if err := m.RemoveAll(step, filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return m.Remove(step, path)
}

// SyncDir keeps the changes of the directory's names. What happened to the same nodes before is overtaken by them.
func (m *model) SyncDir(step, path string) error {
	return m.do(call{step: step, op: "sync directory", path: path}, func() error {
		dir, err := m.find(path)
		if err != nil {
			return err
		}
		var rest []change
		for _, c := range m.pending {
			if c.from != dir && c.to != dir {
				rest = append(rest, c)
				continue
			}
			c.apply()
			rest = slices.DeleteFunc(rest, func(earlier change) bool { return earlier.node == c.node })
		}
		m.pending = rest
		return nil
	})
}

func (m *model) syncAll() {
	for _, c := range m.pending {
		c.apply()
	}
	m.pending = nil
	m.eachFile(m.top, (*node).sync)
}

func (m *model) eachFile(n *node, visit func(*node)) {
	for _, child := range n.names {
		m.eachFile(child, visit)
	}
	if n.mode.IsRegular() {
		visit(n)
	}
}

func (m *model) Lock(path string) (lock, error) {
	if n, err := m.find(path); err != nil || n == nil {
		if err := m.add(path, newNode(0o600)); err != nil {
			return nil, err
		}
	}
	return modelLock{m}, nil
}

type modelLock struct{ m *model }

func (l modelLock) SyncFS(step string) error {
	err := l.m.do(call{step: step, op: "sync", path: modelRoot}, func() error {
		l.m.syncAll()
		return nil
	})
	if err != nil {
		l.m.eachFile(l.m.top, func(n *node) { n.lost = n.lost || !n.synced })
	}
	return err
}

func (l modelLock) Close() error { return nil }

func (l modelLock) Before() Owner { return Owner{} }

// modelWriter is a file that is being written.
type modelWriter struct {
	m          *model
	n          *node
	step, path string
}

func (f *modelWriter) Write(p []byte) (int, error) {
	err := f.m.do(call{f.step, "write", f.path, len(f.n.data)}, func() error {
		f.n.data = slices.Concat(f.n.data, p)
		f.n.changed()
		return nil
	})
	if err != nil { // a disk that fills up takes a part of it
		f.n.data = slices.Concat(f.n.data, p[:len(p)/2])
		f.n.changed()
		return len(p) / 2, err
	}
	return len(p), nil
}

func (f *modelWriter) Chmod(mode fs.FileMode) error {
	return f.m.do(call{step: f.step, op: "chmod", path: f.path}, func() error {
		f.n.mode = mode
		f.n.changed()
		return nil
	})
}

func (f *modelWriter) Sync() error {
	f.m.asked = f.m.asked || f.n.lost
	err := f.m.do(call{step: f.step, op: "fsync", path: f.path}, func() error {
		f.n.sync()
		return nil
	})
	f.n.lost = f.n.lost || err != nil
	return err
}

func (f *modelWriter) Close() error {
	if f.m.before == nil {
		return nil
	}
	return f.m.before(call{step: f.step, op: "close", path: f.path})
}

func (m *model) Enter(path string) (inside, error) { return modelInside{m, path}, nil }

type modelInside struct {
	m   *model
	dir string
}

func (i modelInside) Close() error { return nil }
func (i modelInside) Create(step, name string, mode fs.FileMode) (writer, error) {
	return i.m.Create(step, filepath.Join(i.dir, name), mode)
}

func (i modelInside) Mkdir(step, name string, mode fs.FileMode) error {
	return i.m.Mkdir(step, filepath.Join(i.dir, name), mode)
}

func (i modelInside) Symlink(step, target, name string) error {
	return i.m.Symlink(step, target, filepath.Join(i.dir, name))
}

// Link makes a copy: of a file with two names a power cut leaves no more.
func (i modelInside) Link(step, from, name string) error {
	content, err := readFile(i.m, filepath.Join(i.dir, from))
	if err != nil {
		return err
	}
	f, err := i.Create(step, name, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return closeUnsynced(f, err)
}
