package volume

import (
	"errors"
	"fmt"
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

// PlaceRelup gives a release that its package brought without a relup one that was made for it. It is in no MANIFEST.
func (v *Volume) PlaceRelup(version string, text []byte) error {
	v.work.Lock()
	defer v.work.Unlock()
	if _, err := v.known(version); err != nil {
		return fmt.Errorf("cannot place a relup: %w", err)
	}
	brought, err := v.brought(version)
	if err != nil {
		return fmt.Errorf("cannot place a relup: %w", err)
	}
	name := path.Join(releaseDir, version, "relup")
	if _, its := find(brought, name); its {
		return errors.New("cannot place a relup: the package has brought " + name)
	}
	if err := v.step("place the relup").replaceFile(v.Path(name), text, 0o644); err != nil {
		return fmt.Errorf("cannot place a relup: %w", v.spaceError(err))
	}
	return nil
}
