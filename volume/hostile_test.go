package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/volume/hostile"
)

// hostileWorld is a volume in the midst of files that nothing may touch.
type hostileWorld struct {
	*Volume
	dir   string
	base  hostile.Base
	image Image
}

func newHostileWorld(t *testing.T) *hostileWorld {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostile") //nolint:usetesting // a short name, for headers
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &hostileWorld{dir: dir, base: hostile.Base{Name: "demo", Version: "1.1.0", ERTS: "13.1.5", Kernel: "8.5.3", Stdlib: "4.2", Outside: filepath.Join(dir, "outside")}, image: image(t)}
	for _, name := range []string{"outside", "volume/outside", "volume/.agent/outside"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
		write(t, filepath.Join(dir, name, "sentinel"), "sentinel")
	}
	w.Volume = open(t, filepath.Join(dir, "volume"))
	r := publish(t, w.Volume, thin("1.0.0"))
	must(t, errors.Join(w.Link(w.image, r.Version), w.Seed(r.Version, r.Package), w.Derive(r.Version)))
	return w
}

// bring takes the package as far as an upgrade does before it changes anything that boots.
func (w *hostileWorld) bring(t *testing.T, c hostile.Case) (Release, error) {
	t.Helper()
	limits, err := ParseLimits(c.Limits)
	must(t, err)
	w.Limits = limits
	file := filepath.Join(t.TempDir(), "p.tar.gz")
	f, err := os.Create(file)
	must(t, err)
	defer f.Close()
	must(t, c.Write(f, w.base))
	_, err = f.Seek(0, 0)
	must(t, err)
	pkg, err := w.Receive(context.Background(), f, nil)
	if err != nil {
		return Release{}, err
	}
	s, err := w.Stage(context.Background(), pkg, "demo", nil)
	var r Release
	if err == nil {
		r, err = s.Publish(w.image)
		must(t, s.Discard())
	}
	if err != nil {
		must(t, w.Discard(pkg))
	}
	return r, err
}

func (w *hostileWorld) tree(t *testing.T) map[string]string {
	t.Helper()
	found, err := hostile.Tree(w.dir, "volume/.agent/packages", "volume/.agent/stage", "volume/.agent/trash")
	must(t, err)
	return found
}

func TestEveryHostilePackageIsRefusedAndNothingOutsideItsStageIsTouched(t *testing.T) {
	w := newHostileWorld(t)
	before := w.tree(t)
	for _, c := range hostile.Cases() {
		if c.Many {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			_, err := w.bring(t, c)
			if refusal := refusedWith(t, err, Code(c.Code)); !strings.Contains(refusal.Error(), c.Words) {
				t.Errorf("it says %q, not %q", refusal, c.Words)
			}
			if diff := cmp.Diff(before, w.tree(t)); diff != "" {
				t.Errorf("files have changed:\n%s", diff)
			}
		})
	}
}

func TestEveryOddButLegalPackageIsPublishedWhereItBelongs(t *testing.T) {
	for _, c := range hostile.Legal() {
		if c.Many {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			w := newHostileWorld(t)
			before := w.tree(t)
			r, err := w.bring(t, c)
			must(t, err)
			must(t, w.Verify(r.Version))
			after := w.tree(t)
			for name, was := range before {
				if !ours(name, r) && after[name] != was {
					t.Errorf("%s was %s, and is %s", name, was, after[name])
				}
			}
			for name := range after {
				if _, known := before[name]; !known && !ours(name, r) {
					t.Errorf("%s is new: %s", name, after[name])
				}
			}
			for _, record := range []string{"RELEASES", "start_erl.data"} {
				if strings.Contains(read(t, w.Path(releaseDir, record)), "evil") {
					t.Errorf("%s is the package's", record)
				}
			}
		})
	}
}

// ours tells what a publication may change: the trees of the release, the directories that hold them, the package, the state.
func ours(name string, r Release) bool {
	switch name {
	case "volume", "volume/lib", "volume/releases", "volume/.agent", "volume/.agent/state.json", "volume/.agent/packages/" + r.Package + ".tar.gz":
		return true
	}
	for _, tree := range append([]string{releaseDir + "/" + r.Version}, r.Own...) {
		if name == "volume/"+tree || strings.HasPrefix(name, "volume/"+tree+"/") {
			return true
		}
	}
	return false
}
