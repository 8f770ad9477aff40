package volume

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"sync"
)

// Staged is a package that was unpacked and found good, beside everything that counts.
type Staged struct {
	Release Release  // Own, Size and Manifest included
	HasERTS bool     // the package brings its own
	Skipped []string // what the package holds at its top that has no place on the volume

	volume  *Volume
	pkg     Package
	limits  Limits
	dir     string
	entries []entry // sorted, with paths as they will be on the volume
	code    code
	texts   int64           // bytes of those that were read
	present map[string]bool // trees that are on the volume already, and not in the stage
	needed  int64           // bytes that the stage takes on the volume, for a while those included that others have there
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
	return &Staged{volume: v, pkg: pkg, limits: v.Limits, dir: v.agentPath("stage", v.newID()), present: present}
}

// treesThatStay are the applications and ERTSs, links into the image included, of what boots and of what booted before: those of
// any other one may be gone before the publication.
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
	if err := s.checkSpace(ctx, f); err != nil {
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
	u := s.unpacker(dir)
	if err := s.read(ctx, u, f, progress); err != nil {
		return s.volume.spaceError(err)
	}
	sortEntries(u.entries)
	s.entries, s.code, s.needed = u.entries, u.code, u.needed
	for top := range u.skipped {
		s.Skipped = append(s.Skipped, top)
	}
	slices.Sort(s.Skipped)
	return nil
}

// unpacker writes to dir, which may be nil: then it only reads.
func (s *Staged) unpacker(dir inside) *unpacker {
	return &unpacker{
		limits: s.limits, dir: dir, buf: make([]byte, s.volume.buffer), sum: sha256.New(),
		present: s.present, lean: s.volume.lean, names: map[string]int{}, skipped: map[string]bool{},
	}
}

func (s *Staged) read(ctx context.Context, u *unpacker, pkg io.Reader, progress func(done, total int64)) error {
	digest, err := u.unpack(ctx, pkg, s.pkg.Size, progress)
	if err == nil && digest != s.pkg.Digest {
		err = refuse(Damaged, "it is not what was received: its sha256 is %s", digest)
	}
	return err
}

func (s *Staged) path(name string) string { return filepath.Join(s.dir, name) }

// source is where a file of the package can be read.
func (s *Staged) source(name string) string {
	if s.present[treeOf(name)] {
		return s.volume.Path(name)
	}
	return s.path(name)
}

// Relup is how to get to the release and back; nil when the package has none.
func (s *Staged) Relup() (*Relup, error) {
	r, err := readRelup(s.volume.disk, s.path(path.Join(releaseDir, s.Release.Version)), s.limits.TextBytes)
	return r, about(s.Release.title(), err)
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
