package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Publish moves the release to its place and records it. Applications go first, releases/<version> with its
// MANIFEST last, and the record after it: until then all of it is debris that Recover collects. A release
// that is there already with the same content is returned as it is recorded.
func (s *Staged) Publish(image Image) (Release, error) {
	v := s.volume
	v.work.Lock()
	defer v.work.Unlock()
	if existing, known := v.State().Releases[s.Release.Version]; known {
		return existing, errors.Join(s.sameAs(existing), s.Discard())
	}
	if err := s.FitsImage(image); err != nil {
		return Release{}, err
	}
	moves, err := s.planMoves()
	if err != nil {
		return Release{}, about(s.Release.title(), err)
	}
	if err := s.publish(moves); err != nil {
		_, left := v.collect() // what is in its place already
		return Release{}, errors.Join(fmt.Errorf("cannot publish %s: %w", s.Release.title(), v.spaceError(err)), left)
	}
	_, _ = s.Discard(), v.emptyTrash()
	return v.release(s.Release.Version), nil
}

// Conflict is a *PackageError where the volume has a release of the same version with other content.
func (s *Staged) Conflict() error {
	existing, known := s.volume.State().Releases[s.Release.Version]
	if !known {
		return nil
	}
	return s.sameAs(existing)
}

// sameAs compares with a release of the same version. Packages of the same files may differ in their bytes.
func (s *Staged) sameAs(existing Release) error {
	if existing.Package == s.Release.Package {
		return nil
	}
	if existing.Name == s.Release.Name && digestOf(s.manifest(existing.Own)) == existing.Manifest {
		return nil
	}
	return about(s.Release.title(), refuse(ConflictingRelease, "version %s is on the volume with other content: raise its version", existing.Version))
}

// manifest describes the release's own directory and the trees that its package has put on the volume.
func (s *Staged) manifest(own []string) []byte {
	release := releaseDir + "/" + s.Release.Version
	return encodeManifest(slices.DeleteFunc(slices.Clone(s.entries), func(e entry) bool {
		tree := treeOf(e.Path)
		return tree != release && !slices.Contains(own, tree)
	}))
}

// planMoves decides for each tree whether it is moved, shared with the equal one that is there, or left to
// the image. What is left to the image is no longer the release's own. A tree that was there when the package was
// staged is not in the stage.
func (s *Staged) planMoves() (moves []string, err error) {
	var own []string
	hash := s.volume.newHasher()
	for _, tree := range s.Release.Own {
		place, err := s.placeOf(hash, tree)
		if err != nil {
			return nil, err
		}
		if place != leftToImage {
			own = append(own, tree)
		}
		if place == moved && s.present[tree] {
			return nil, fmt.Errorf("%s has left the volume in the meantime: try again", tree)
		}
		if place == moved {
			moves = append(moves, tree)
			continue
		}
		if err := s.volume.disk.RemoveAll("drop what is there", s.path(tree)); err != nil { // so that it is never written to the disk
			return nil, err
		}
	}
	s.Release.Own = own
	return moves, nil
}

type placement int

const (
	moved placement = iota
	shared
	leftToImage
)

func (s *Staged) placeOf(hash *hasher, tree string) (placement, error) {
	path := s.volume.Path(tree)
	disk := s.volume.disk
	info, err := disk.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return moved, nil
	case err != nil:
		return moved, err
	case info.Mode()&fs.ModeSymlink != 0 && isDir(disk, path):
		return leftToImage, nil // the running node may use it
	case info.Mode()&fs.ModeSymlink != 0:
		return moved, disk.Remove("drop a dead link", path) // into an image that is gone
	}
	file, reason, err := hash.differs(s.volume.root, tree, below(s.entries, tree))
	switch {
	case err != nil:
		return moved, err
	case file == "":
		return shared, nil
	case s.volume.used(tree):
		return moved, conflict(tree, file, reason)
	}
	return moved, s.volume.discardTree(path)
}

func conflict(tree, file, reason string) error {
	return refuse(ConflictingLib, "%s is on the volume with other content (%s %s): raise the version of what has changed", tree, file, reason)
}

// used tells whether a recorded release needs the tree.
func (v *Volume) used(tree string) bool {
	for _, r := range v.State().Releases {
		if slices.Contains(r.needs(), tree) {
			return true
		}
	}
	return false
}

func (s *Staged) publish(moves []string) error {
	v, dir := s.volume, releaseDir+"/"+s.Release.Version
	manifest := s.manifest(s.Release.Own)
	if err := s.finish(manifest); err != nil {
		return err
	}
	if isRealDir(v.disk, v.Path(dir)) { // debris: no recorded release is there
		if err := v.discardTree(v.Path(dir)); err != nil {
			return err
		}
	}
	publish := v.step("publish")
	for _, tree := range append(moves, dir) {
		if err := publish.Rename(publish.name, s.path(tree), v.Path(tree)); err != nil {
			return err
		}
	}
	if err := publish.syncParents(v.paths(append(s.Release.Own, dir))); err != nil {
		return err
	}
	s.Release.Manifest, s.Release.Unpacked = digestOf(manifest), time.Now().UTC()
	return v.update(func(state *State) error {
		state.Releases[s.Release.Version] = s.Release
		return nil
	})
}

// finish writes the MANIFEST, and makes all of the stage durable: after a power cut a name that was moved to its place
// must not stand for files that are empty.
func (s *Staged) finish(manifest []byte) error {
	v, path := s.volume, s.path(releaseDir+"/"+s.Release.Version+"/"+manifestName)
	if err := v.step("write the manifest").writeFile(path, manifest, 0o644, closeUnsynced); err != nil {
		return err
	}
	return v.lock.SyncFS("sync the stage")
}
