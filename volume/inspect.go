package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Inspected is a package that was looked at, and found good.
type Inspected struct {
	Release Release
	HasERTS bool     // the package brings its own
	Skipped []string // what the package holds at its top that has no place on a volume
	Relup   *Relup   // nil where it has none
	Known   bool     // the volume has the release already
}

// Place is where a package shall go; what is empty is not compared.
type Place struct {
	Volume string // release root
	Image  Image
	Limits Limits // zero: DefaultLimits
}

// Inspect checks a package in a file as Stage does, without a volume and without a change to anything: of what it
// holds only releases/ is written, to a temporary directory. It must fit to its place: to the OTP of an image, and to
// what is on a volume, which is read beside the agent that owns it. The file must have the digest, so that what
// was verified is what is looked at. Refusals are *PackageError.
func Inspect(ctx context.Context, file, digest string, place Place) (Inspected, error) {
	found, err := examine(ctx, file, digest, place, true)
	if err != nil {
		return Inspected{}, err
	}
	if len(found.Misfits) > 0 {
		err = found.Misfits[0]
	}
	return found.Inspected, errors.Join(err, found.Close())
}

// Examined is a package whose files can be read until it is closed, wherever they are: those that the volume has are not unpacked.
type Examined struct {
	Inspected
	Staged  *Staged
	Misfits []error // why it does not fit to its place, *PackageError each
	Needed  int64   // bytes that an upgrade takes on the volume: the package, which is kept, and what is unpacked of it
}

// Examine is Inspect for who wants to read the applications as well, and to know of all that is wrong with its place.
func Examine(ctx context.Context, file, digest string, place Place) (*Examined, error) {
	return examine(ctx, file, digest, place, false)
}

// Close removes what was unpacked.
func (e *Examined) Close() error { return os.RemoveAll(e.Staged.volume.root) }

func examine(ctx context.Context, file, digest string, place Place, lean bool) (*Examined, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("cannot inspect the package: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot inspect the package: %w", err)
	}
	other, err := look(place.Volume)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the volume %s: %w", place.Volume, err)
	}
	v, err := makeBench(path, digest, cmp.Or(place.Limits, DefaultLimits))
	if err != nil {
		return nil, fmt.Errorf("cannot inspect the package: %w; TMPDIR names a directory that can be written", err)
	}
	v.lean = lean
	found, err := v.examine(ctx, Package{Digest: digest, Size: info.Size()}, place.Image, other)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(v.root))
	}
	return found, nil
}

// examine unpacks on the bench v what the other volume does not have.
func (v *Volume) examine(ctx context.Context, pkg Package, image Image, other *Volume) (*Examined, error) {
	present := other.treesThatStay()
	if !v.lean {
		if err := v.borrow(other, present); err != nil {
			return nil, fmt.Errorf("cannot inspect the package: %w", err)
		}
	}
	s, err := v.stage(pkg, present).fill(ctx, other.name(), nil)
	if refusal, is := errors.AsType[*PackageError](err); is && refusal.Code == NoSpace {
		return nil, fmt.Errorf("cannot inspect the package: TMPDIR has no room: %w", refusal.Err)
	}
	if err != nil {
		return nil, err
	}
	found := &Examined{Inspected: Inspected{Release: s.Release, HasERTS: s.HasERTS, Skipped: s.Skipped}, Staged: s, Needed: pkg.Size + s.needed}
	if found.Relup, err = s.Relup(); err != nil {
		return nil, err
	}
	return found, found.compare(image, other)
}

// compare collects what does not fit.
func (e *Examined) compare(image Image, v *Volume) error {
	var conflict error
	e.Known, conflict = e.Staged.fits(v)
	for _, err := range []error{conflict, v.hasRoom(e.Needed), e.Staged.fitsImage(image, v)} {
		if _, refused := errors.AsType[*PackageError](err); err != nil && !refused {
			return err
		}
		if err != nil {
			e.Misfits = append(e.Misfits, about(e.Release.title(), err))
		}
	}
	return nil
}

// borrow has the trees of another volume where a stage looks for them.
func (v *Volume) borrow(other *Volume, trees map[string]bool) error {
	if err := os.Mkdir(v.Path(libDir), 0o700); err != nil {
		return err
	}
	for tree, there := range trees {
		if !there {
			continue
		}
		if err := os.Symlink(other.Path(tree), v.Path(tree)); err != nil {
			return err
		}
	}
	return nil
}

// makeBench is as much of a volume as a stage needs, with a link to the package.
func makeBench(pkg, digest string, limits Limits) (*Volume, error) {
	root, err := os.MkdirTemp("", "agent-verify-")
	if err != nil {
		return nil, err
	}
	v := &Volume{root: root, disk: osDisk{}, Limits: limits, newID: randomID, buffer: bufferBytes, bench: true}
	err = os.MkdirAll(v.agentPath("stage"), 0o700)
	if err == nil {
		err = os.Mkdir(v.agentPath("packages"), 0o700)
	}
	if err == nil {
		err = os.Symlink(pkg, v.packagePath(digest))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(root))
	}
	return v, nil
}

// Look is a volume to be read beside the agent that owns it: its state as it is now, and the files. What would change it is an error.
func Look(root string) (*Volume, error) {
	v, err := look(root)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the volume %s: %w", root, err)
	}
	return v, nil
}

// look needs no lock: the state is replaced as a whole. No root is a volume that has nothing.
func look(root string) (*Volume, error) {
	v := &Volume{disk: readDisk{}, Limits: DefaultLimits, buffer: bufferBytes}
	if root == "" {
		return v, nil
	}
	var err error
	if v.root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	content, err := readOwn(v.disk, v.statePath())
	if err != nil {
		return nil, err
	}
	v.st, err = decodeState(content)
	return v, err
}

// name is that of the releases on the volume.
func (v *Volume) name() string { return v.st.Releases[v.st.Current].Name }

// fits compares the package with what the releases of a volume share with it. Publish decides the same, and may.
func (s *Staged) fits(v *Volume) (known bool, err error) {
	if existing, known := v.st.Releases[s.Release.Version]; known {
		return true, s.sameAs(existing)
	}
	hash := s.volume.newHasher()
	for _, tree := range s.Release.Own {
		if v.root == "" || !v.used(tree) || !isRealDir(v.disk, v.Path(tree)) {
			continue
		}
		file, reason, err := hash.differs(v.root, tree, below(s.entries, tree))
		switch {
		case err != nil:
			return false, fmt.Errorf("cannot compare %s: %w", tree, err)
		case file != "":
			return false, conflict(tree, file, reason)
		}
	}
	return false, nil
}

// fitsImage is checkParts for a package of which only the names of its trees are known.
func (s *Staged) fitsImage(image Image, v *Volume) error {
	if image.OTPRoot == "" {
		return nil
	}
	for _, p := range s.Release.parts() {
		_, provided := image.provides(p)
		_, brought := slices.BinarySearch(s.Release.Own, p.dir())
		if !provided && !brought && (v.root == "" || !isRealDir(v.disk, v.Path(p.dir()))) {
			return image.lacks(p)
		}
	}
	return nil
}

// Edges are the versions that a relup leads from, and back to.
func (r *Relup) Edges() (up, down []string) {
	up, down = []string{}, []string{}
	if r == nil {
		return up, down
	}
	for _, e := range r.Up {
		up = append(up, e.Version)
	}
	for _, e := range r.Down {
		down = append(down, e.Version)
	}
	return up, down
}
