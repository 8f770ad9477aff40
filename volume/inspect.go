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
func Inspect(ctx context.Context, file, digest string, place Place) (found Inspected, err error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return Inspected{}, fmt.Errorf("cannot inspect the package: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Inspected{}, fmt.Errorf("cannot inspect the package: %w", err)
	}
	other, err := look(place.Volume)
	if err != nil {
		return Inspected{}, fmt.Errorf("cannot look at the volume %s: %w", place.Volume, err)
	}
	v, err := makeBench(path, digest, cmp.Or(place.Limits, DefaultLimits))
	if err != nil {
		return Inspected{}, fmt.Errorf("cannot inspect the package: %w; TMPDIR names a directory that can be written", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(v.root)) }()
	s, err := v.stage(Package{Digest: digest, Size: info.Size()}, nil).fill(ctx, other.name(), nil)
	if err != nil {
		return Inspected{}, err
	}
	relup, err := s.Relup()
	if err != nil {
		return Inspected{}, err
	}
	known, err := s.fits(other)
	if err == nil {
		err = s.fitsImage(place.Image, other)
	}
	return Inspected{Release: s.Release, HasERTS: s.HasERTS, Skipped: s.Skipped, Relup: relup, Known: known}, about(s.Release.title(), err)
}

// makeBench is as much of a volume as a stage needs, with a link to the package.
func makeBench(pkg, digest string, limits Limits) (*Volume, error) {
	root, err := os.MkdirTemp("", "agent-verify-")
	if err != nil {
		return nil, err
	}
	v := &Volume{root: root, disk: osDisk{}, Limits: limits, newID: randomID, buffer: bufferBytes, lean: true}
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

// look reads the state of a volume that belongs to another agent, without its lock: the state is replaced as a whole.
// No root is a volume that has nothing.
func look(root string) (*Volume, error) {
	v := &Volume{root: root, disk: osDisk{}}
	if root == "" {
		return v, nil
	}
	content, err := os.ReadFile(v.statePath())
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
	var needed int64
	for _, tree := range s.Release.Own {
		files := below(s.entries, tree)
		if v.root == "" || !v.used(tree) || !isRealDir(v.disk, v.Path(tree)) {
			needed += bytesOf(files)
			continue
		}
		file, reason, err := hash.differs(v.root, tree, files)
		switch {
		case err != nil:
			return false, fmt.Errorf("cannot compare %s: %w", tree, err)
		case file != "":
			return false, conflict(tree, file, reason)
		}
	}
	return false, v.hasRoom(needed)
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

func (v *Volume) hasRoom(needed int64) error {
	if v.root == "" {
		return nil
	}
	free, err := v.disk.Free(v.root)
	if err == nil && needed > free.bytes {
		err = refuse(NoSpace, "the volume has %d bytes free, the release needs %d", free.bytes, needed)
	}
	return err
}

func bytesOf(entries []entry) (sum int64) {
	for _, e := range entries {
		sum += e.Size
	}
	return sum
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
