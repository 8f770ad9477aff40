package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Verify compares every file that the release's package brought with its MANIFEST, and that with the state.
// A *DamageError names the first that is missing or differs.
func (v *Volume) Verify(version string) error {
	r, err := v.known(version)
	if err != nil {
		return err
	}
	name := releaseDir + "/" + version + "/" + manifestName
	text, err := v.readManifest(version)
	if damage := (*DamageError)(nil); errors.As(err, &damage) {
		return damage
	}
	if err != nil {
		return fmt.Errorf("cannot verify release %s: %w", version, err)
	}
	if digestOf(text) != r.Manifest {
		return &DamageError{version, name, "has other content"}
	}
	entries, err := decodeManifest(text)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	file, reason, err := v.newHasher().compare(v.root, entries)
	if err != nil {
		return fmt.Errorf("cannot verify release %s: %w", version, err)
	}
	if file != "" {
		return &DamageError{version, file, reason}
	}
	return nil
}

// readManifest is a *DamageError where there is none.
func (v *Volume) readManifest(version string) ([]byte, error) {
	name := releaseDir + "/" + version + "/" + manifestName
	text, err := readFile(v.disk, v.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DamageError{version, name, "is missing"}
	}
	return text, err
}

// Repair verifies a release, and puts back from the kept package whatever of it is damaged. It returns what Verify
// found, nil where that was nothing; with an error the release is damaged still.
func (v *Volume) Repair(version string) (damage, err error) {
	r, err := v.known(version)
	if err != nil {
		return nil, err
	}
	if damage = v.Verify(version); damage == nil {
		return nil, nil
	}
	if err := v.restore(r); err != nil {
		return damage, fmt.Errorf("%w, and it cannot be restored: %w", damage, err)
	}
	return damage, nil
}

// restore replaces what differs from the kept package, and nothing else.
func (v *Volume) restore(r Release) error {
	v.coming.RLock()
	defer v.coming.RUnlock()
	info, err := v.disk.Stat(v.packagePath(r.Package))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("its package is not kept on the volume")
	}
	if err != nil {
		return err
	}
	stage := v.stage(Package{Digest: r.Package, Size: info.Size()}, nil)
	stage.limits = unlimited // it was within those of its time
	s, err := stage.fill(context.Background(), r.Name, nil)
	if err != nil {
		return err
	}
	v.work.Lock()
	defer v.work.Unlock()
	return errors.Join(s.replaceDamaged(r), s.Discard(), v.emptyTrash())
}

// replaceDamaged renames each damaged tree away and the staged one to its place. The release's own directory
// is last, as in Publish: until its MANIFEST is there the release stays damaged, and is restored again.
func (s *Staged) replaceDamaged(r Release) error {
	dir := releaseDir + "/" + r.Version
	manifest := s.manifest(r.Own)
	if digestOf(manifest) != r.Manifest {
		return errors.New("its package holds other files than were recorded")
	}
	if err := s.finish(manifest); err != nil {
		return err
	}
	for _, tree := range r.Own {
		if err := s.replaceTree(tree); err != nil {
			return err
		}
	}
	replace := s.swap
	if holds(s.volume.disk, s.volume.Path(dir, manifestName), manifest) {
		replace = s.replaceTree
	}
	if err := replace(dir); err != nil {
		return err
	}
	return s.volume.step("restore").syncParents(s.volume.paths(append(r.Own, dir)))
}

func (s *Staged) replaceTree(tree string) error {
	file, _, err := s.volume.newHasher().differs(s.volume.root, tree, below(s.entries, tree))
	if err == nil && file == "" {
		return nil
	}
	return s.swap(tree)
}

func (s *Staged) swap(tree string) error {
	place, restore := s.volume.Path(tree), s.volume.step("restore")
	_, err := restore.Lstat(place)
	if err == nil {
		err = s.volume.discardTree(place)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := restore.makeDir(filepath.Dir(place), 0o755); err != nil {
		return err
	}
	return restore.Rename(restore.name, s.path(tree), place)
}
