package volume

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzArchive: whatever a tar archive holds, no name that leads out of the stage, or through a link, is asked for; a refusal is
// one in words; what is accepted is what was written; and the memory is bounded. Nothing is written to a disk.
func FuzzArchive(f *testing.F) {
	for _, archive := range tarballs(f) {
		f.Add(lastEntries(archive), false)
	}
	r := &fuzzedReader{u: unpacker{
		limits: fuzzLimits(), source: &meter{}, buf: make([]byte, 4096), sum: sha256.New(), names: map[string]int{}, skipped: map[string]bool{},
	}}
	f.Fuzz(func(t *testing.T, archive []byte, inspected bool) {
		nowhere := newNowhere(t)
		err := r.read(t, archive, inspected, nowhere)
		if refusal := (*PackageError)(nil); err != nil && !errors.As(err, &refusal) {
			t.Errorf("no refusal: %v", err)
		}
		nowhere.checkLinks()
		if err == nil && !inspected {
			nowhere.holds(r.u.entries)
		}
	})
}

// lastEntries are those in which an archive is odd. Of the others an input has only the time.
func lastEntries(archive []byte) []byte {
	const most = 4 << 10
	for at := max(0, len(archive)-most) &^ 511; at < len(archive)-1024; at += 512 {
		if string(archive[at+257:at+262]) == "ustar" {
			return archive[at:]
		}
	}
	return archive
}

// fuzzedReader is one unpacker for all inputs: what it needs is allocated once.
type fuzzedReader struct {
	u       unpacker
	archive []byte
}

func (r *fuzzedReader) read(t *testing.T, archive []byte, inspected bool, dir inside) (err error) {
	r.archive = append(r.archive[:0], archive...)
	sumHeaders(r.archive)
	u := &r.u
	clear(u.names)
	clear(u.skipped)
	*u = unpacker{
		limits: u.limits, source: u.source, buf: u.buf, sum: u.sum, names: u.names, skipped: u.skipped,
		entries: u.entries[:0], links: u.links[:0], dir: dir, lean: inspected,
	}
	spends(t, len(archive), 2<<20, 64, func() {
		if err = u.readTar(bytes.NewReader(r.archive)); err != nil {
			err = u.archiveError(err)
		} else {
			err = u.makeLinks()
		}
	})
	return err
}

// nowhere takes what it is given, keeps nothing but the names, and minds them.
type nowhere struct {
	inside
	t     *testing.T
	names map[string]asked
}

// asked is what a name of nowhere stands for.
type asked struct {
	is     fs.FileMode
	target string // of a link
	*sink
}

func newNowhere(t *testing.T) *nowhere {
	return &nowhere{t: t, names: map[string]asked{".": {is: fs.ModeDir}}}
}

func (n *nowhere) make(name string, what asked) error {
	if !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsFunc(name, isControl) {
		n.t.Errorf("%q is asked for", name)
	}
	if parent, known := n.names[path.Dir(name)]; !known || parent.is != fs.ModeDir {
		n.t.Errorf("%q is asked for, and what it would lie in is no directory", name)
	}
	if _, taken := n.names[name]; taken {
		n.t.Errorf("%q is asked for twice", name)
	}
	n.names[name] = what
	return nil
}

func (n *nowhere) Create(_, name string, mode os.FileMode) (writer, error) {
	f := &sink{}
	return f, n.make(name, asked{is: mode, sink: f})
}

func (n *nowhere) Mkdir(_, name string, _ os.FileMode) error {
	return n.make(name, asked{is: fs.ModeDir})
}

func (n *nowhere) Symlink(_, target, name string) error {
	return n.make(name, asked{is: fs.ModeSymlink, target: target})
}

func (n *nowhere) Link(_, from, name string) error {
	linked, known := n.names[from]
	if !known || linked.sink == nil {
		n.t.Errorf("a hard link to %q, which is no file", from)
	}
	return n.make(name, linked)
}

// checkLinks goes where each link leads, a step at a time as the kernel does: that is in its application.
func (n *nowhere) checkLinks() {
	for name, what := range n.names {
		if what.is == fs.ModeSymlink {
			n.follow(name)
		}
	}
}

func (n *nowhere) follow(link string) {
	at, rest, tree := path.Dir(link), n.names[link].target, treeOf(link)
	for hops := 0; rest != ""; {
		var step string
		step, rest, _ = strings.Cut(rest, "/")
		at = path.Join(at, step)
		if there := n.names[at]; there.is == fs.ModeSymlink {
			if hops++; hops > mostLinks {
				n.t.Fatalf("the link %q has no end", link)
			}
			at, rest = path.Dir(at), path.Join(there.target, rest)
		}
	}
	if at != tree && !strings.HasPrefix(at, tree+"/") {
		n.t.Errorf("the link %q leads to %q", link, at)
	}
}

// holds compares what was written with what is said of it.
func (n *nowhere) holds(entries []entry) {
	there := 0
	for _, what := range n.names {
		if what.is != fs.ModeDir {
			there++
		}
	}
	if there != len(entries) {
		n.t.Errorf("%d files are described, and %d were written", len(entries), there)
	}
	for _, e := range entries {
		what := n.names[e.Path]
		if what.is != e.Mode && e.Mode&fs.ModeSymlink != what.is {
			n.t.Errorf("%q is described with mode %v, and written with %v", e.Path, e.Mode, what.is)
		}
		if what.sink != nil && what.size != e.Size {
			n.t.Errorf("%q is described with %d bytes, and written with %d", e.Path, e.Size, what.size)
		}
	}
}

// sink is a file of nowhere.
type sink struct{ size int64 }

func (f *sink) Write(p []byte) (int, error) { f.size += int64(len(p)); return len(p), nil }
func (*sink) Chmod(os.FileMode) error       { return nil }
func (*sink) Sync() error                   { return nil }
func (*sink) Close() error                  { return nil }
