package volume

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/volume/hostile"
)

// FuzzUnpack: whatever an archive holds, nothing outside the stage is touched; what is accepted lies in the stage as it is
// described; a package that is only inspected gets the same verdict; and the memory is bounded. It writes to a real directory,
// which is slow: FuzzArchive does not.
func FuzzUnpack(f *testing.F) {
	zipper := gzip.NewWriter(nil)
	for name, archive := range tarballs(f) {
		if slices.Contains(aFew, name) {
			f.Add(archive, true)
		}
	}
	f.Add(zip(f, zipper, make([]byte, 1024)), false)
	f.Fuzz(func(t *testing.T, archive []byte, zipped bool) {
		if zipped {
			archive = bytes.Clone(archive)
			sumHeaders(archive)
			archive = zip(t, zipper, archive)
		}
		root := t.TempDir()
		write(t, filepath.Join(root, "sentinel"), "sentinel")
		stage := filepath.Join(root, "a", "b", "stage")
		must(t, os.MkdirAll(stage, 0o700))
		before, err := hostile.Tree(root, "a/b/stage")
		must(t, err)
		full, err := unpackFuzzed(t, archive, stage, false)
		if _, leanErr := unpackFuzzed(t, archive, stage, true); fmt.Sprint(err) != fmt.Sprint(leanErr) {
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

// fuzzLimits are small, so that an archive of few bytes comes to each of them.
func fuzzLimits() Limits {
	limits := DefaultLimits
	limits.UnpackedBytes, limits.Entries, limits.NamesBytes = 1<<20, 200, 64<<10
	return limits
}

// unpackFuzzed unpacks into the stage, or to nowhere.
func unpackFuzzed(t *testing.T, archive []byte, stage string, inspected bool) (*unpacker, error) {
	t.Helper()
	dir, err := osDisk{}.Enter(stage)
	must(t, err)
	defer dir.Close()
	u := &unpacker{limits: fuzzLimits(), dir: dir, buf: make([]byte, 4096), sum: sha256.New(), lean: inspected, names: map[string]int{}, skipped: map[string]bool{}}
	if inspected {
		u.dir = newNowhere(t)
	}
	spends(t, len(archive), 16<<20, 256, func() {
		digest, unpackErr := u.unpack(context.Background(), bytes.NewReader(archive), int64(len(archive)), nil)
		if err = unpackErr; err == nil && digest != digestOf(archive) {
			t.Error("the digest is another one")
		}
	})
	return u, err
}

// aFew of the packages are enough where each execution takes long.
var aFew = []string{
	"name-up-3", "link-to-itself", "hard-link-up", "sparse-pax-1.0", "header-pax-path-up", "header-gnu-name-up", "size-of-exabytes", "tar-without-end",
	"legal-hard-link-inside", "legal-link-inside", "legal-gnu-long-name", "legal-ustar-prefix", "legal-directories-behind-their-files",
}

// tarballs are the hostile packages and the odd ones that are not large, without their gzip.
func tarballs(f *testing.F) iter.Seq2[string, []byte] {
	base := hostile.Base{Name: "d", Version: "1.1.0", ERTS: "13", Kernel: "8", Stdlib: "4", Outside: "/sentinel"}
	return func(yield func(string, []byte) bool) {
		for _, c := range append(hostile.Cases(), hostile.Legal()...) {
			if c.Many || c.Limits != "" || c.Code == string(TooLarge) {
				continue
			}
			var whole bytes.Buffer
			must(f, c.Write(&whole, base))
			unzipped, err := gzip.NewReader(&whole)
			if err != nil {
				continue
			}
			if archive, err := io.ReadAll(unzipped); err == nil && len(archive) < 1<<20 && !yield(c.Name, archive) {
				return
			}
		}
	}
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
func sumHeaders(archive []byte) {
	const sumAt, sumEnd = 148, 156
	for ; len(archive) >= 512; archive = archive[512:] {
		if string(archive[257:262]) != "ustar" {
			continue
		}
		sum := 8 * int(' ')
		for _, b := range archive[:sumAt] {
			sum += int(b)
		}
		for _, b := range archive[sumEnd:512] {
			sum += int(b)
		}
		archive[sumEnd-2], archive[sumEnd-1] = 0, ' '
		for i := sumEnd - 3; i >= sumAt; i-- {
			archive[i], sum = byte('0'+sum%8), sum/8
		}
	}
}
