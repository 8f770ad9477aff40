package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"theseus/rpc/term"
)

// check makes sure that what was unpacked is one release that can boot.
func (s *Staged) check(name string) error {
	version, err := s.onlyVersion()
	if err != nil {
		return err
	}
	relFile, err := s.findRel(version, name)
	if err != nil {
		return err
	}
	if err := s.placeRel(relFile); err != nil {
		return err
	}
	for _, check := range []func() error{s.checkFiles, s.placeBoot, s.checkConfig, s.placeMix, s.checkRelup, s.checkLibs, s.checkCode, s.markIncluded} {
		if err := check(); err != nil {
			return err
		}
	}
	s.describe()
	return nil
}

func (s *Staged) onlyVersion() (string, error) {
	var versions []string
	_, cookie := find(s.entries, cookieFile)
	for _, tree := range treesOf(s.entries) {
		if dir, version := path.Split(tree); dir == releaseDir+"/" && !strings.HasSuffix(version, ".rel") && (!cookie || tree != cookieFile) {
			versions = append(versions, version)
		}
	}
	switch len(versions) {
	case 0:
		return "", refuse(NoRelease, "the package holds no release: there is no releases/<version>/")
	case 1:
		return versions[0], nil
	}
	return "", refuse(WrongVersion, "the package holds more than one release: %.200s", strings.Join(versions, ", "))
}

// helperRels are resource files of boot scripts that relx puts beside the release's own.
var helperRels = []string{"start_clean.rel", "no_dot_erlang.rel"}

// findRel picks the resource file of the release: relx and mix have it in releases/<version>, systools in
// releases. It returns its name in the package.
func (s *Staged) findRel(version, name string) (string, error) {
	var unusable error
	for _, dir := range []string{releaseDir + "/" + version, releaseDir} {
		for _, e := range s.entries {
			if path.Dir(e.Path) != dir || path.Ext(e.Path) != ".rel" || slices.Contains(helperRels, path.Base(e.Path)) {
				continue
			}
			r, err := s.readRel(e.Path, version, name)
			if err == nil {
				s.Release = r
				return e.Path, nil
			}
			if refusal, is := errors.AsType[*PackageError](err); is && refusal.Code == TooLarge {
				return "", err
			}
			if unusable == nil {
				unusable = err
			}
		}
	}
	if unusable != nil {
		return "", unusable
	}
	return "", refuse(NoRelease, "the package holds no .rel file for %s", version)
}

func (s *Staged) readRel(relFile, version, name string) (Release, error) {
	if err := s.checkText(relFile); err != nil {
		return Release{}, err
	}
	text, err := readFile(s.volume.disk, s.path(relFile))
	if err != nil {
		return Release{}, err
	}
	r, err := parseRel(text)
	switch {
	case err != nil:
		return r, refuse(BadRelease, "%s cannot be read: %w", relFile, err)
	case r.Version != version:
		return r, refuse(WrongVersion, "%s is of version %s, its files are in releases/%s", relFile, r.Version, version)
	case name != "" && r.Name != name:
		return r, refuse(WrongName, "it is a release of %s, and this volume is of %s", r.Name, name)
	}
	return r, nil
}

// placeRel puts the resource file to where RelFile says, and forgets those that are not in a version's
// directory.
func (s *Staged) placeRel(relFile string) error {
	place := path.Join(releaseDir, s.Release.Version, s.Release.Name+".rel")
	if _, there := find(s.entries, place); !there {
		i, _ := find(s.entries, relFile)
		placed := s.entries[i]
		if err := s.volume.disk.Rename("place the .rel", s.path(relFile), s.path(place)); err != nil {
			return err
		}
		placed.Path = place
		s.entries = append(s.entries, placed)
	}
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool {
		return path.Dir(e.Path) == releaseDir && e.Path != cookieFile || e.Path == relFile && relFile != place
	})
	sortEntries(s.entries)
	return nil
}

// textsBytes are for all texts of a package that are read: terms take their time.
const textsBytes = 64 << 20

// checkText makes sure that a text can be read, if the package has it.
func (s *Staged) checkText(name string) error {
	i, there := find(s.entries, name)
	if !there {
		return nil
	}
	e := s.entries[i]
	limit := s.limits.TextBytes
	s.texts += e.Size
	switch {
	case !e.Mode.IsRegular():
		return refuse(UnsafeEntry, "%s is no file", name)
	case e.Size > limit:
		return refuse(TooLarge, "%s is larger than %d bytes", name, limit)
	case s.texts > textsBytes:
		return refuse(TooLarge, "its .rel, .app and configuration files have more than %d bytes together", textsBytes)
	}
	return nil
}

// has tells whether the release's directory holds a file of this name.
func (s *Staged) has(name string) bool {
	_, there := find(s.entries, path.Join(releaseDir, s.Release.Version, name))
	return there
}

func (s *Staged) checkFiles() error {
	if !s.has("start.boot") && !s.has(s.Release.Name+".boot") {
		return refuse(Incomplete, "it has no boot script: neither start.boot nor %s.boot", s.Release.Name)
	}
	for _, name := range []string{"sys.config", "sys.config.src", "vm.args", "vm.args.src", "relup"} {
		if err := s.checkText(path.Join(releaseDir, s.Release.Version, name)); err != nil {
			return err
		}
	}
	return nil
}

// placeBoot names the boot script as release_handler does (release_handler:do_check_install_release/4). reltool and older relx
// name it for the release.
func (s *Staged) placeBoot() error {
	dir := path.Join(releaseDir, s.Release.Version)
	i, named := find(s.entries, path.Join(dir, s.Release.Name+".boot"))
	if !named || s.has("start.boot") {
		return nil
	}
	place := path.Join(dir, "start.boot")
	if err := s.volume.disk.Rename("place the boot script", s.path(s.entries[i].Path), s.path(place)); err != nil {
		return err
	}
	s.entries[i].Path = place
	sortEntries(s.entries)
	return nil
}

// checkConfig reads sys.config before the node does: release_handler takes an unreadable one for an empty
// one, and the next boot dies of it. A template is read when it is filled in.
func (s *Staged) checkConfig() error {
	if !s.has("sys.config") {
		if s.has("sys.config.src") {
			return nil
		}
		return refuse(BadConfig, "it has no sys.config")
	}
	text, err := readFile(s.volume.disk, s.path(path.Join(releaseDir, s.Release.Version, "sys.config")))
	if err != nil {
		return err
	}
	if err := parseConfig(text); err != nil {
		return refuse(BadConfig, "its sys.config %w", err)
	}
	return nil
}

func parseConfig(text []byte) error {
	t, err := onlyTerm(text)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	list, ok := t.(term.List)
	if !ok {
		return errors.New("is not a list")
	}
	for _, item := range list {
		if !isConfigItem(item) {
			shown, _ := term.FormatMax(item, 100)
			return fmt.Errorf("holds %s, which is not {Application, Parameters}", shown)
		}
	}
	return nil
}

// isConfigItem accepts {App, [Params]} and the name of another file to include (kernel: config(4)).
func isConfigItem(t term.Term) bool {
	if _, isText := t.(term.String); isText {
		return strings.HasPrefix(term.Format(t), `"`) // one with control characters names no file
	}
	pair, ok := t.(term.Tuple)
	if !ok || len(pair) != 2 {
		return false
	}
	_, isAtom := pair[0].(term.Atom)
	_, isList := pair[1].(term.List)
	return isAtom && isList
}

func (s *Staged) checkRelup() error {
	r, err := s.Relup()
	if err == nil && r != nil && r.To != s.Release.Version {
		return refuse(BadRelup, "its relup leads to %q", r.To)
	}
	return err
}

// checkLibs looks for the resource file of each application that the package brings.
func (s *Staged) checkLibs() error {
	trees := treesOf(s.entries)
	for _, lib := range s.Release.Libs {
		file := lib.dir() + "/ebin/" + lib.App + ".app"
		if err := s.checkText(file); err != nil {
			return err
		}
		_, there := find(s.entries, file)
		if _, brought := slices.BinarySearch(trees, lib.dir()); brought && !there {
			return refuse(Incomplete, "it lacks %s", file)
		}
	}
	return nil
}

// markIncluded finds the applications that the release holds only as a part of others: they never run by
// themselves. Those of OTP include none, so what the package brings is all there is to read.
func (s *Staged) markIncluded() error {
	within := map[string]bool{}
	for _, lib := range s.Release.Libs {
		file := lib.dir() + "/ebin/" + lib.App + ".app"
		if _, there := find(s.entries, file); !there {
			continue // the image has it
		}
		text, err := readFile(s.volume.disk, s.source(file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // neither is it for Inspect
		}
		if err != nil {
			return err
		}
		for _, app := range includedBy(text) {
			within[app] = true
		}
	}
	for n, lib := range s.Release.Libs {
		if within[lib.App] {
			s.Release.Libs[n].Type = included
		}
	}
	return nil
}

func (s *Staged) describe() {
	for _, e := range s.entries {
		s.Release.Size += e.Size
	}
	own := releaseDir + "/" + s.Release.Version
	s.Release.Own = slices.DeleteFunc(treesOf(s.entries), func(tree string) bool { return tree == own })
	s.HasERTS = slices.Contains(s.Release.Own, "erts-"+s.Release.ERTS)
}
