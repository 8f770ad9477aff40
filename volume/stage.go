package volume

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"theseus/rpc/term"
)

// Staged is a package that was unpacked and found good, beside everything that counts.
type Staged struct {
	Release Release  // Own, Size and Manifest included
	HasERTS bool     // the package brings its own
	Skipped []string // what the package holds at its top that has no place on the volume

	volume  *Volume
	pkg     Package
	dir     string
	entries []entry         // sorted, with paths as they will be on the volume
	code    code
	texts   int64 // bytes of those that were read
	present map[string]bool // trees that are on the volume already, and not in the stage
	end     sync.Once
	endErr  error
}

// Stage unpacks a kept package and checks all that can be checked without a node. A release of another name
// is refused, unless name is empty. progress, which may be nil, is told the package's bytes. Trees that the volume
// has are read and not written again; that they are the same is for Publish to find out.
// Refusals are *PackageError.
func (v *Volume) Stage(ctx context.Context, pkg Package, name string, progress func(done, total int64)) (*Staged, error) {
	return v.stage(pkg, v.treesThatStay()).fill(ctx, name, progress)
}

// stage is an empty one for a package. The trees that are present will not be written to it.
func (v *Volume) stage(pkg Package, present map[string]bool) *Staged {
	return &Staged{volume: v, pkg: pkg, dir: v.agentPath("stage", v.newID()), present: present}
}

// treesThatStay are the applications and ERTSs, links into the image included, of the releases that Remove refuses:
// those of any other one may be gone before the publication.
func (v *Volume) treesThatStay() map[string]bool {
	trees := map[string]bool{}
	state := v.State()
	for _, version := range []string{state.Current, state.Previous} {
		for _, tree := range state.Releases[version].needs() {
			trees[tree] = path.Dir(tree) != releaseDir && isDir(v.disk, v.Path(tree))
		}
	}
	return trees
}

func (s *Staged) fill(ctx context.Context, name string, progress func(done, total int64)) (*Staged, error) {
	subject := fmt.Sprintf("the package %.12s", s.pkg.Digest)
	err := s.unpack(ctx, progress)
	if err == nil {
		err = s.check(name)
	}
	if s.Release.Version != "" {
		subject = s.Release.title()
	}
	if err != nil {
		return nil, errors.Join(about(subject, err), s.Discard())
	}
	s.Release.Package = s.pkg.Digest
	return s, nil
}

func (s *Staged) unpack(ctx context.Context, progress func(done, total int64)) error {
	disk := s.volume.disk
	f, err := disk.Open(s.volume.packagePath(s.pkg.Digest))
	if err != nil {
		return fmt.Errorf("cannot unpack the package: %w", err)
	}
	defer f.Close()
	if err := s.volume.checkSpace(f); err != nil {
		return err
	}
	if err := disk.Mkdir("make the stage", s.dir, 0o700); err != nil {
		return fmt.Errorf("cannot unpack the package: %w", s.volume.spaceError(err))
	}
	dir, err := disk.Enter(s.dir)
	if err != nil {
		return fmt.Errorf("cannot unpack the package: %w", err)
	}
	defer dir.Close()
	u := &unpacker{
		limits: s.volume.Limits, dir: dir, buf: make([]byte, s.volume.buffer), sum: sha256.New(),
		present: s.present, lean: s.volume.lean, names: map[string]bool{}, skipped: map[string]bool{},
	}
	digest, err := u.unpack(ctx, f, s.pkg.Size, progress)
	if err == nil && digest != s.pkg.Digest {
		err = refuse(Damaged, "it is not what was received: its sha256 is %s", digest)
	}
	if err != nil {
		return s.volume.spaceError(err)
	}
	sortEntries(u.entries)
	s.entries, s.code = u.entries, u.code
	for top := range u.skipped {
		s.Skipped = append(s.Skipped, top)
	}
	slices.Sort(s.Skipped)
	return nil
}

// checkSpace compares the free space with what gzip says of the last four gigabytes, which is all that can be
// known before the first byte is unpacked; how many files there are is not.
func (v *Volume) checkSpace(pkg io.ReadSeeker) error {
	var size [4]byte
	if end, err := pkg.Seek(0, io.SeekEnd); err != nil || end < int64(len(size)) {
		return errors.Join(err, tooShort(end))
	}
	if _, err := pkg.Seek(-4, io.SeekEnd); err != nil {
		return err
	}
	if _, err := io.ReadFull(pkg, size[:]); err != nil {
		return err
	}
	if _, err := pkg.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if v.lean {
		return nil
	}
	free, err := v.disk.Free(v.root)
	if err != nil {
		return err
	}
	if needed := int64(binary.LittleEndian.Uint32(size[:])); needed > free.bytes && needed <= v.Limits.UnpackedBytes {
		return refuse(NoSpace, "the volume has %d bytes free, the release needs %d", free.bytes, needed)
	}
	if free.files == 0 {
		return refuse(NoSpace, "the volume can hold no more files")
	}
	return nil
}

func tooShort(size int64) error {
	if size == 0 {
		return refuse(NotAPackage, "the package is empty")
	}
	return refuse(NotAPackage, "not a tarball: it has %d bytes", size)
}

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
	for _, check := range []func() error{s.checkFiles, s.checkConfig, s.checkRelup, s.checkLibs, s.checkCode} {
		if err := check(); err != nil {
			return err
		}
	}
	s.markIncluded()
	s.describe()
	return nil
}

func (s *Staged) onlyVersion() (string, error) {
	var versions []string
	for _, tree := range treesOf(s.entries) {
		if dir, version := path.Split(tree); dir == releaseDir+"/" && !strings.HasSuffix(version, ".rel") {
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
	text, err := readText(s.volume.disk, s.path(relFile), s.volume.Limits.TextBytes)
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
	s.entries = slices.DeleteFunc(s.entries, func(e entry) bool { return path.Dir(e.Path) == releaseDir || e.Path == relFile && relFile != place })
	sortEntries(s.entries)
	return nil
}

func (s *Staged) path(name string) string { return filepath.Join(s.dir, name) }

// source is where a file of the package can be read.
func (s *Staged) source(name string) string {
	if s.present[treeOf(name)] {
		return s.volume.Path(name)
	}
	return s.path(name)
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
	for _, name := range []string{"sys.config", "vm.args"} {
		if s.has(name+".src") && !s.has(name) {
			return refuse(UnrenderedConfig, "it has only %s.src: a template must be rendered before the package is made", name)
		}
	}
	return nil
}

// checkConfig reads sys.config before the node does: release_handler takes an unreadable one for an empty
// one, and the next boot dies of it.
func (s *Staged) checkConfig() error {
	if !s.has("sys.config") {
		return refuse(BadConfig, "it has no sys.config")
	}
	text, err := readText(s.volume.disk, s.path(path.Join(releaseDir, s.Release.Version, "sys.config")), s.volume.Limits.TextBytes)
	if err != nil {
		return err
	}
	t, err := onlyTerm(text)
	if err != nil {
		return refuse(BadConfig, "its sys.config cannot be read: %w", err)
	}
	list, ok := t.(term.List)
	if !ok {
		return refuse(BadConfig, "its sys.config is not a list")
	}
	for _, item := range list {
		if !isConfigItem(item) {
			return refuse(BadConfig, "its sys.config holds %.100s, which is not {Application, Parameters}", term.Format(item))
		}
	}
	return nil
}

// isConfigItem accepts {App, [Params]} and the name of another file to include (kernel: config(4)).
func isConfigItem(t term.Term) bool {
	if _, isText := t.(term.String); isText {
		return true
	}
	pair, ok := t.(term.Tuple)
	if !ok || len(pair) != 2 {
		return false
	}
	_, isAtom := pair[0].(term.Atom)
	_, isList := pair[1].(term.List)
	return isAtom && isList
}

// Relup is how to get to the release and back; nil when the package has none.
func (s *Staged) Relup() (*Relup, error) {
	r, err := readRelup(s.volume.disk, s.path(path.Join(releaseDir, s.Release.Version)), s.volume.Limits.TextBytes)
	return r, about(s.Release.title(), err)
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
		_, there := find(s.entries, lib.dir()+"/ebin/"+lib.App+".app")
		if slices.Contains(trees, lib.dir()) && !there {
			return refuse(Incomplete, "it lacks %s/ebin/%s.app", lib.dir(), lib.App)
		}
	}
	return nil
}

// markIncluded finds the applications that the release holds only as a part of others: they never run by
// themselves. Those of OTP include none, so what the package brings is all there is to read.
func (s *Staged) markIncluded() {
	within := map[string]bool{}
	for _, lib := range s.Release.Libs {
		file := lib.dir() + "/ebin/" + lib.App + ".app"
		if _, there := find(s.entries, file); !there {
			continue // the image has it
		}
		text, err := readText(s.volume.disk, s.source(file), s.volume.Limits.TextBytes)
		if err != nil {
			continue // it is too large
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
}

func (s *Staged) describe() {
	for _, e := range s.entries {
		s.Release.Size += e.Size
	}
	own := releaseDir + "/" + s.Release.Version
	s.Release.Own = slices.DeleteFunc(treesOf(s.entries), func(tree string) bool { return tree == own })
	s.HasERTS = slices.Contains(s.Release.Own, "erts-"+s.Release.ERTS)
}

// Discard forgets what was unpacked; the package itself stays. It may follow Publish, and does nothing then.
func (s *Staged) Discard() error {
	s.end.Do(func() {
		if err := s.volume.disk.RemoveAll("drop the stage", s.dir); err != nil {
			s.endErr = fmt.Errorf("cannot discard what was unpacked: %w", err)
		}
	})
	return s.endErr
}
