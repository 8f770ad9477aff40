package volume

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	cookieFile = releaseDir + "/COOKIE" // as mix release packs it

	// Pristine is a mix release's configuration as its package has it. What the node reads as sys.config is made from it: its
	// config providers are run for each boot and each installation.
	Pristine = "sys.config.pristine"
)

// placeMix moves what a mix release has beside its directory into that: its cookie, and its launchers, which others could not
// have under the same names. Its sys.config makes room for the one that will be resolved. No other release has its
// launchers on the volume: they would boot what is baked into them.
func (s *Staged) placeMix() error {
	dir := path.Join(releaseDir, s.Release.Version)
	if !s.has("remote.vm.args") && !s.has("env.sh") {
		return s.drop(func(name string) bool { return name == cookieFile || topOf(name) == binDir })
	}
	for _, move := range [][2]string{{cookieFile, "COOKIE"}, {binDir, binDir}, {dir + "/sys.config", Pristine}} {
		to := path.Join(dir, move[1])
		if err := s.drop(func(name string) bool { return isBelow(name, to) }); err != nil {
			return err
		}
		if err := s.move(move[0], to); err != nil {
			return err
		}
	}
	sortEntries(s.entries)
	return nil
}

// move renames a file or a directory of the stage.
func (s *Staged) move(from, to string) error {
	moved := false
	for n, e := range s.entries {
		if isBelow(e.Path, from) {
			s.entries[n].Path = to + strings.TrimPrefix(e.Path, from)
			moved = true
		}
	}
	if !moved {
		return nil
	}
	return s.volume.disk.Rename("place what mix has", s.path(from), s.path(to))
}

// drop forgets what has no place on the volume.
func (s *Staged) drop(unwanted func(name string) bool) error {
	var err error
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
		if err != nil || !unwanted(e.Path) {
			return false
		}
		err = s.volume.disk.RemoveAll("drop what has no place", s.path(e.Path))
		return err == nil
	})
	return err
}

func isBelow(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// ConsolidatedDir is where mix puts the protocols of a release with all of their implementations known.
func (v *Volume) ConsolidatedDir(version string) string {
	return v.Path(releaseDir, version, "consolidated")
}

// Consolidated are the protocols that any of the releases has there.
func (v *Volume) Consolidated(versions ...string) ([]string, error) {
	var modules []string
	for _, version := range versions {
		names, err := directoryNames(v.disk, v.ConsolidatedDir(version))
		if err != nil {
			return nil, fmt.Errorf("cannot list the protocols of %s: %w", version, err)
		}
		for _, name := range names {
			if module, is := strings.CutSuffix(name, ".beam"); is {
				modules = append(modules, module)
			}
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules), nil
}
