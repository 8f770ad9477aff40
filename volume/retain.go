package volume

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Keep is how much of the past stays on the volume; 0 is no limit. What boots, where a rollback leads and what an
// operation is about stay in any case, and count.
type Keep struct {
	Releases int
	Bytes    int64 // of all their trees and packages
}

// Surplus is what the volume has beyond a Keep.
type Surplus struct {
	Versions []string // may be removed, in this order
	Over     int64    // bytes that would still be too many then
}

// Surplus finds the oldest releases that need not stay. inUse is what runs, which is not always what boots.
func (v *Volume) Surplus(keep Keep, inUse string) (Surplus, error) {
	s := v.State()
	sizes := usage{}
	if keep.Bytes > 0 {
		var err error
		if sizes, err = v.measure(s); err != nil {
			return Surplus{}, fmt.Errorf("cannot tell what the releases on the volume occupy: %w", err)
		}
	}
	return s.surplus(keep, inUse, sizes), nil
}

func (s State) surplus(keep Keep, inUse string, sizes usage) Surplus {
	var surplus Surplus
	left := maps.Clone(s.Releases)
	over := func() (bool, int64) {
		bytes := sizes.of(left) - keep.Bytes
		return keep.Releases > 0 && len(left) > keep.Releases || keep.Bytes > 0 && bytes > 0, bytes
	}
	for _, r := range s.oldestFirst() {
		if much, _ := over(); !much || r.Version == inUse || r.Version == s.Previous || s.keeps(r.Version) != "" {
			continue
		}
		delete(left, r.Version)
		surplus.Versions = append(surplus.Versions, r.Version)
	}
	if _, bytes := over(); keep.Bytes > 0 {
		surplus.Over = max(0, bytes)
	}
	return surplus
}

// oldestFirst orders by when a release last became what boots, or was unpacked where it never did. One in quarantine comes
// last: somebody may want to know what is wrong with it.
func (s State) oldestFirst() []Release {
	last := func(r Release) time.Time {
		if r.Permanent.IsZero() {
			return r.Unpacked
		}
		return r.Permanent
	}
	return slices.SortedFunc(maps.Values(s.Releases), func(a, b Release) int {
		return cmp.Or(s.inQuarantine(a)-s.inQuarantine(b), last(a).Compare(last(b)), cmp.Compare(a.Version, b.Version))
	})
}

func (s State) inQuarantine(r Release) int {
	if s.Quarantined(r.Version) {
		return 1
	}
	return 0
}

// removedKept bounds State.Removed, so that the state does not grow with each upgrade.
const removedKept = 1000

// rememberRemoved notes a package of which nothing is left: an image that brings it must not boot it over what came
// after it.
func (s *State) rememberRemoved(digest string) {
	s.Removed = append(slices.DeleteFunc(s.Removed, func(d string) bool { return d == digest }), digest)
	s.Removed = s.Removed[max(0, len(s.Removed)-removedKept):]
}

// usage is the size of trees and packages, by their place below the root.
type usage map[string]int64

// of counts what releases share once.
func (u usage) of(releases map[string]Release) (sum int64) {
	counted := map[string]bool{}
	for _, r := range releases {
		for _, part := range append(r.needs(), r.Package) {
			if !counted[part] {
				counted[part] = true
				sum += u[part]
			}
		}
	}
	return sum
}

// measure looks at the disk: a release's own record counts what it shares, and not its package.
func (v *Volume) measure(s State) (usage, error) {
	u := usage{}
	var errs []error
	for _, r := range s.Releases {
		for _, tree := range r.needs() {
			if _, known := u[tree]; known {
				continue
			}
			var err error
			u[tree], err = treeBytes(v.Path(tree))
			errs = append(errs, err)
		}
		if info, err := os.Stat(v.packagePath(r.Package)); err == nil {
			u[r.Package] = info.Size()
		}
	}
	return u, errors.Join(errs...)
}

// Occupied is what all releases and their packages have on the volume.
func (v *Volume) Occupied() (int64, error) {
	s := v.State()
	u, err := v.measure(s)
	return u.of(s.Releases), err
}

// treeBytes is the size of the files of a tree; a link into the image has none, and neither has what is missing.
func treeBytes(root string) (sum int64, err error) {
	err = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !d.Type().IsRegular():
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
