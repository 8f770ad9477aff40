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

// MadeRelup is the text of the relup that PlaceRelup gave a release, nil where there is none. One that the package has brought
// is an error.
func (v *Volume) MadeRelup(version string) ([]byte, error) {
	brought, err := v.brought(version)
	if err != nil {
		return nil, fmt.Errorf("cannot place a relup: %w", err)
	}
	name := relupOf(version)
	if _, its := find(brought, name); its {
		return nil, errors.New("cannot place a relup: the package has brought " + name)
	}
	text, err := readFile(v.disk, v.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot place a relup: %w", err)
	}
	return text, nil
}

// PlaceRelup gives a release that its package brought without a relup one that was made for it, or, with nil, takes that
// away again. It is in no MANIFEST.
func (v *Volume) PlaceRelup(version string, text []byte) error {
	v.work.Lock()
	defer v.work.Unlock()
	if _, err := v.known(version); err != nil {
		return fmt.Errorf("cannot place a relup: %w", err)
	}
	if _, err := v.MadeRelup(version); err != nil {
		return err
	}
	name := v.Path(relupOf(version))
	if text == nil {
		s := v.step("take the relup away")
		return errors.Join(s.removeFile(name), s.SyncDir(s.name, path.Dir(name)))
	}
	if err := v.step("place the relup").replaceFile(name, text, 0o644); err != nil {
		return fmt.Errorf("cannot place a relup: %w", v.spaceError(err))
	}
	return nil
}

func relupOf(version string) string { return path.Join(releaseDir, version, "relup") }
