package volume

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// CountBoot notes that the current release is about to be booted, while it is unproven. It must be durable before the
// boot, since that may be the end of everything.
func (v *Volume) CountBoot(version string, at time.Time) error {
	return v.changeBoots(version, func(r *Release) {
		if r.Boots == 0 {
			r.FirstBoot = at.UTC()
		}
		r.Boots, r.LastBoot = r.Boots+1, at.UTC()
	})
}

// DiscountBoot takes a boot back that was ended before it could prove anything.
func (v *Volume) DiscountBoot(version string) error {
	return v.changeBoots(version, func(r *Release) {
		if r.Boots--; r.Boots <= 0 {
			r.forgetBoots()
		}
	})
}

func (v *Volume) changeBoots(version string, change func(*Release)) error {
	if s := v.State(); version != s.Current || !s.Releases[version].Unproven {
		return nil
	}
	return v.update(func(s *State) error {
		r := s.Releases[version]
		change(&r)
		s.Releases[version] = r
		return nil
	})
}

func (r *Release) forgetBoots() { r.Boots, r.FirstBoot, r.LastBoot = 0, time.Time{}, time.Time{} }

// Spent tells whether a release that never ran well has used up its boots, the first and the last of which have to be that far
// apart: what it needs may be away for a while. Where the clock was put back nothing is known of that, and they count as they are.
func (r Release) Spent(boots int, apart time.Duration) bool {
	span := r.LastBoot.Sub(r.FirstBoot)
	return boots > 0 && r.Unproven && r.Boots >= boots && (span >= apart || span < 0)
}

// Prove notes that a release has run well after a boot of its own: its boots are counted no more.
func (v *Volume) Prove(version string) error {
	if !v.State().Releases[version].Unproven {
		return nil
	}
	return v.update(func(s *State) error {
		s.prove(version)
		return nil
	})
}

func (s *State) prove(version string) {
	r := s.Releases[version]
	r.Unproven = false
	r.forgetBoots()
	s.Releases[version] = r
}

// Quarantine gives a release up: it is not booted again, nor seeded, until it is upgraded or rolled back to. Where it is the
// current one, instead becomes that in the same write. ErrBusy while an operation is under way.
func (v *Volume) Quarantine(version, instead string, why Failure) error {
	return v.update(func(s *State) error {
		r, there := s.Releases[version]
		_, other := s.Releases[instead]
		switch {
		case s.Operation != nil:
			return fmt.Errorf("%w: %s to %s", ErrBusy, s.Operation.Kind, s.Operation.To)
		case !there || !other || version == instead:
			return fmt.Errorf("cannot put release %q into quarantine, and boot %q", version, instead)
		}
		why.Boots, why.Package = r.Boots, r.Package
		if version == s.Current {
			s.activate(instead)
		}
		s.prove(version) // what is known of it is in the failure
		s.Failed[version] = why
		s.avoidQuarantine()
		return nil
	})
}

// avoidQuarantine has a rollback that names no version lead to a release that may boot.
func (s *State) avoidQuarantine() {
	if !s.Quarantined(s.Previous) {
		return
	}
	s.Previous, s.Via = "", nil
	if rest := s.Fallbacks(s.Current); len(rest) > 0 {
		s.Previous = rest[0]
	}
}

// RollbackTarget is where a rollback leads that names no version. After a rollback there is none: one that is asked for
// twice, because an answer was lost, must not lead back to what was left.
func (s State) RollbackTarget() string {
	if s.Previous == s.Left {
		return ""
	}
	return s.Previous
}

// OnTheWayBack tells whether a rollback that names no version leads over a release.
func (s State) OnTheWayBack(version string) bool {
	return s.RollbackTarget() != "" && slices.Contains(s.Via, version)
}

// Quarantined tells whether the release of this version was given up.
func (s State) Quarantined(version string) bool {
	digest := s.Failed[version].Package
	return digest != "" && digest == s.Releases[version].Package
}

// GivenUp tells why the release that came from a package was put into quarantine, also where it was removed since.
func (s State) GivenUp(digest string) (why Failure, is bool) {
	for _, f := range s.Failed {
		if digest != "" && f.Package == digest {
			return f, true
		}
	}
	return Failure{}, false
}

// Fallbacks are the releases that may boot in the place of a version: those that were permanent, latest first.
func (s State) Fallbacks(version string) []string {
	releases := slices.SortedFunc(maps.Values(s.Releases), func(x, y Release) int { return y.Permanent.Compare(x.Permanent) })
	var versions []string
	for _, r := range releases {
		if r.Version != version && !r.Permanent.IsZero() && !s.Quarantined(r.Version) {
			versions = append(versions, r.Version)
		}
	}
	return versions
}
