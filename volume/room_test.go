package volume

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// narrow is a disk that has as much room as it is said to have.
type narrow struct {
	disk
	bytes int64
}

func (n narrow) Free(string) (space, error) { return space{n.bytes, maxFiles}, nil }

// stageWithin stages a package where so many bytes are free once it is kept.
func stageWithin(t *testing.T, v *Volume, content []byte, free int64) error {
	t.Helper()
	wide := v.disk
	defer func() { v.disk = wide }()
	pkg := receive(t, v, content)
	v.disk = narrow{wide, free}
	s, err := v.Stage(t.Context(), pkg, "demo", nil)
	if err == nil {
		err = s.Discard()
	}
	return errors.Join(err, v.Discard(pkg))
}

// TestOnlyWhatIsWrittenNeedsRoom: what the volume has, and what has no place there, is in the package all the same.
func TestOnlyWhatIsWrittenNeedsRoom(t *testing.T) {
	const free = 2000
	whole := pack(t, thin("1.1.0"))
	for name, c := range map[string]struct {
		content []byte
		want    Code
	}{
		"the volume has most of it":   {whole, ""},
		"most of it has no place":     {pack(t, append(thin("1.1.0"), file("doc/manual", strings.Repeat("x", 2*free)))), ""},
		"an application is new":       {pack(t, append(thin("1.1.0"), file("lib/more-1/priv/more", strings.Repeat("x", 2*free)))), NoSpace},
		"half of it came":             {whole[:len(whole)/2], Truncated},
		"it is a text":                {[]byte("it was a dark and stormy night"), NotAPackage},
		"it would be refused for all": {pack(t, append(thin("1.1.0"), file("lib/../../x", strings.Repeat("x", 2*free)))), UnsafePath},
	} {
		t.Run(name, func(t *testing.T) {
			v := seeded(t)
			err := stageWithin(t, v, c.content, free)
			if c.want != "" {
				refusedWith(t, err, c.want)
				return
			}
			must(t, err)
		})
	}
}

// examineWithin examines a package for a volume that has so many bytes free, and is told how many it needs.
func examineWithin(t *testing.T, v *Volume, content []byte, free int64, lean bool) (needed int64, misfit error) {
	t.Helper()
	pkg := filepath.Join(t.TempDir(), "demo.tar.gz")
	write(t, pkg, string(content))
	other, err := look(v.Root())
	must(t, err)
	other.disk = narrow{other.disk, free}
	bench, err := makeBench(pkg, digestOf(content), DefaultLimits)
	must(t, err)
	defer func() { must(t, os.RemoveAll(bench.root)) }()
	bench.lean = lean
	found, err := bench.examine(t.Context(), Package{Digest: digestOf(content), Size: int64(len(content))}, Image{}, other)
	must(t, err)
	return found.Needed, errors.Join(found.Misfits...)
}

// TestThePlanAndTheUpgradeNeedTheSameRoom: the package is kept beside what it unpacks to.
func TestThePlanAndTheUpgradeNeedTheSameRoom(t *testing.T) {
	another := member{Header: tar.Header{Typeflag: tar.TypeLink, Name: "lib/more-1/priv/b", Linkname: "lib/more-1/priv/a"}}
	for name, members := range map[string][]member{
		"a small step":          thin("1.2.0"),
		"OTP, which the image":  full("1.2.0"),
		"of what did not run":   append(thin("1.2.0"), file("lib/demo-1.1.0/ebin/demo.app", "{application,demo,[]}.\n"), file("lib/demo-1.1.0/ebin/demo.beam", "code of 1.1.0")),
		"it is there already":   thin("1.1.0"),
		"it is what runs":       thin("1.0.0"),
		"one file by two names": append(thin("1.2.0"), file("lib/more-1/priv/a", strings.Repeat("x", 9000)), another),
	} {
		t.Run(name, func(t *testing.T) {
			v := seeded(t)
			publish(t, v, thin("1.1.0"))
			content := pack(t, members)
			for _, lean := range []bool{false, true} {
				needed, misfit := examineWithin(t, v, content, maxFiles, lean)
				must(t, misfit)
				if needed <= int64(len(content)) {
					t.Fatalf("it needs %d bytes, and has %d itself", needed, len(content))
				}
				_, misfit = examineWithin(t, v, content, needed, lean)
				must(t, misfit)
				_, misfit = examineWithin(t, v, content, needed-1, lean)
				refusedWith(t, misfit, NoSpace)
				left := needed - int64(len(content))
				must(t, stageWithin(t, v, content, left))
				refusedWith(t, stageWithin(t, v, content, left-1), NoSpace)
			}
		})
	}
}
