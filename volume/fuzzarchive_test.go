package volume

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/volume/hostile"
)

// FuzzArchive: whatever an archive holds, nothing outside the stage is touched; what is accepted lies in the stage as it is
// described; a package that is only inspected gets the same verdict; and the memory is bounded.
func FuzzArchive(f *testing.F) {
	zipper := gzip.NewWriter(nil)
	seeds(f, zipper)
	limits := DefaultLimits
	limits.UnpackedBytes, limits.Entries, limits.NamesBytes = 1<<20, 200, 64<<10
	f.Fuzz(func(t *testing.T, archive []byte, zipped bool) {
		if zipped {
			archive = zip(t, zipper, sumHeaders(bytes.Clone(archive)))
		}
		root := t.TempDir()
		write(t, filepath.Join(root, "sentinel"), "sentinel")
		stage := filepath.Join(root, "a", "b", "stage")
		must(t, os.MkdirAll(stage, 0o700))
		before, err := hostile.Tree(root, "a/b/stage")
		must(t, err)
		full, err := unpackFuzzed(t, archive, stage, limits, false)
		if _, leanErr := unpackFuzzed(t, archive, stage, limits, true); fmt.Sprint(err) != fmt.Sprint(leanErr) {
			t.Errorf("it is %v, and inspected %v", err, leanErr)
		}
		after, treeErr := hostile.Tree(root, "a/b/stage")
		must(t, treeErr)
		for name, is := range after {
			if was := before[name]; !strings.HasPrefix(name, "a/b/stage") && is != was {
				t.Errorf("%s was %q, and is %q", name, was, is)
			}
		}
		if err != nil {
			if refusal := (*PackageError)(nil); !errors.As(err, &refusal) {
				t.Errorf("no refusal: %v", err)
			}
			return
		}
		hash := &hasher{disk: osDisk{}, buf: make([]byte, 4096)}
		if name, reason, err := hash.compare(stage, full.entries); name != "" || err != nil {
			t.Errorf("%q %s, %v", name, reason, err)
		}
		files := 0
		must(t, walkFiles(osDisk{}, stage, func(string) error { files++; return nil }))
		if files != len(full.entries) {
			t.Errorf("%d files are described, and %d are there", len(full.entries), files)
		}
	})
}

// unpackFuzzed unpacks into the stage, or to nowhere.
func unpackFuzzed(t *testing.T, archive []byte, stage string, limits Limits, inspected bool) (*unpacker, error) {
	t.Helper()
	dir, err := osDisk{}.Enter(stage)
	must(t, err)
	defer dir.Close()
	u := &unpacker{limits: limits, dir: dir, buf: make([]byte, 4096), sum: sha256.New(), lean: inspected, names: map[string]int{}, skipped: map[string]bool{}}
	if inspected {
		u.dir = nowhere{}
	}
	spends(t, len(archive), 16<<20, 256, func() {
		digest, unpackErr := u.unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), nil)
		if err = unpackErr; err == nil && digest != digestOf(archive) {
			t.Error("the digest is another one")
		}
	})
	return u, err
}

// nowhere takes what it is given, and keeps nothing.
type nowhere struct{ inside }

func (nowhere) Create(_, _ string, mode os.FileMode) (writer, error) {
	return nothing{}, nil
}
func (nowhere) Mkdir(string, string, os.FileMode) error { return nil }
func (nowhere) Symlink(string, string, string) error    { return nil }
func (nowhere) Link(string, string, string) error       { return nil }

// nothing is a file of nowhere.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Chmod(os.FileMode) error     { return nil }
func (nothing) Sync() error                 { return nil }
func (nothing) Close() error                { return nil }

// seeds are some of the hostile packages and the odd ones, without their gzip.
func seeds(f *testing.F, zipper *gzip.Writer) {
	f.Helper()
	base := hostile.Base{Name: "d", Version: "1.1.0", ERTS: "13", Kernel: "8", Stdlib: "4", Outside: "/sentinel"}
	few := []string{
		"name-up-3", "link-to-itself", "hard-link-up", "sparse-pax-1.0", "header-pax-path-up", "header-gnu-name-up", "size-of-exabytes", "tar-without-end",
		"legal-hard-link-inside", "legal-link-inside", "legal-gnu-long-name", "legal-ustar-prefix", "legal-directories-behind-their-files",
	}
	for _, c := range append(hostile.Cases(), hostile.Legal()...) {
		if !slices.Contains(few, c.Name) {
			continue
		}
		var whole bytes.Buffer
		must(f, c.Write(&whole, base))
		unzipped, err := gzip.NewReader(&whole)
		must(f, err)
		archive, err := io.ReadAll(unzipped)
		must(f, err)
		f.Add(archive, true)
	}
	f.Add(zip(f, zipper, make([]byte, 1024)), false)
}

// zip has the writer, which takes a megabyte, used again.
func zip(t testing.TB, w *gzip.Writer, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w.Reset(&b)
	_, err := w.Write(content)
	must(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// sumHeaders gives each header the sum that it must have: else nothing of a changed one would be read.
func sumHeaders(archive []byte) []byte {
	for at := 0; at+512 <= len(archive); at += 512 {
		block := archive[at : at+512]
		if string(block[257:262]) != "ustar" {
			continue
		}
		copy(block[148:156], "        ")
		sum := 0
		for _, b := range block {
			sum += int(b)
		}
		copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return archive
}
