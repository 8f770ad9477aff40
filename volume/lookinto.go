package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
)

// RelFile is the release resource file in the stage.
func (s *Staged) RelFile() string {
	return s.path(path.Join(releaseDir, s.Release.Version, s.Release.Name+".rel"))
}

// LibDir is where the files of one of the release's applications can be read before it is published: in the stage, on the
// volume, or in the image.
func (s *Staged) LibDir(image Image, lib Lib) string {
	if slices.Contains(s.Release.Own, lib.dir()) {
		return s.source(lib.dir())
	}
	if dir := s.volume.Path(lib.dir()); isDir(s.volume.disk, dir) {
		return dir
	}
	dir, _ := image.provides(part{lib.App, lib.Version})
	return dir
}

// PlaceRelup gives the target of the operation under way, which its package brought without a relup, one that was derived for it.
// It is in no MANIFEST. That is recorded before, with what was derived for another way and lies there: Abort takes the one away, and
// brings the other back.
func (v *Volume) PlaceRelup(text []byte) error {
	v.work.Lock()
	defer v.work.Unlock()
	if err := v.placeRelup(text); err != nil {
		return fmt.Errorf("cannot place a relup: %w", v.spaceError(err))
	}
	return nil
}

func (v *Volume) placeRelup(text []byte) error {
	op := v.State().Operation
	if op == nil {
		return ErrNoOperation
	}
	before, err := v.derivedRelup(op.To)
	if err != nil {
		return err
	}
	err = v.uncommitted(func(s *State) {
		if !s.Operation.Derived {
			s.Operation.Derived, s.Operation.Displaced = true, before
		}
	})
	if err != nil {
		return err
	}
	return v.step("place the relup").replaceFile(v.Path(relupOf(op.To)), text, 0o644)
}

// derivedRelup is the text of the relup that PlaceRelup gave a release, nil where there is none. One that the package has brought
// is an error.
func (v *Volume) derivedRelup(version string) ([]byte, error) {
	if _, err := v.known(version); err != nil {
		return nil, err
	}
	brought, err := v.brought(version)
	if err != nil {
		return nil, err
	}
	name := relupOf(version)
	if _, its := find(brought, name); its {
		return nil, errors.New("the package has brought " + name)
	}
	text, err := readText(v.disk, v.Path(name), DefaultLimits.TextBytes) // it must find room in state.json
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// takeRelupAway undoes PlaceRelup, however far that came, for an operation that is not committed. It may run twice.
func (v *Volume) takeRelupAway() error {
	v.work.Lock()
	defer v.work.Unlock()
	op := v.State().Operation
	if op == nil || !op.Derived || op.Phase == PhaseCommitted || !isRealDir(v.disk, v.ReleaseDir(op.To)) {
		return nil
	}
	s, name := v.step("take the relup away"), v.Path(relupOf(op.To))
	var err error
	if op.Displaced != nil {
		err = v.withRoom(func() error { return s.replaceFile(name, op.Displaced, 0o644) })
	} else {
		err = errors.Join(s.removeFile(temporaryName(name)), s.removeFile(name), s.SyncDir(s.name, path.Dir(name)))
	}
	if err != nil {
		return fmt.Errorf("cannot take away the relup that was derived: %w", err)
	}
	return nil
}

func relupOf(version string) string { return path.Join(releaseDir, version, "relup") }
