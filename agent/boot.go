package agent

import (
	"fmt"
	"slices"

	"theseus/volume"
)

// decision is what the agent does with the volume when it starts, before the node is launched.
type decision struct {
	seed     bool              // unpack the image's package and boot that
	version  string            // boots; empty when seed is set and the package was not unpacked yet
	reason   string            // in words, for the operator
	reverted *volume.Operation // an upgrade that ended with the container or the node, before its commit
}

// decideBoot is the boot table. It is a pure function of the recorded state, the digest of the image's
// package (empty: the image has none) and the policy:
//
//	volume          | package in the image      | boots
//	----------------+---------------------------+------------------------------------------------
//	empty           | any                       | the package
//	release P       | seen before, or none      | P; policy image: the package's release
//	release P       | not seen before           | policy newer, image: the package; policy volume: P
//	upgrade P → N   | before its commit         | as if it had never begun: P
//	                | after its commit          | N
func decideBoot(s volume.State, seed string, policy SeedPolicy) (decision, error) {
	d := decision{version: s.Current}
	if op := s.Operation; op != nil && op.Phase != volume.PhaseCommitted {
		d.reverted = op
	}
	if s.Current == "" {
		if seed == "" {
			return d, fmt.Errorf("cannot boot: the volume is empty and the image brings no package")
		}
		d.seed, d.reason = true, "the volume is empty"
		return d, nil
	}
	known, seen := seedOnVolume(s, seed)
	switch {
	case seed == "":
		d.reason = "permanent on the volume; the image brings no package"
	case policy == SeedImage && known == s.Current:
		d.reason = "permanent on the volume, and the image's package"
	case policy == SeedImage:
		d.seed, d.reason = true, "the policy is to boot the image's package"
	case seen:
		d.reason = "permanent on the volume; the image's package was seen before"
	case policy == SeedVolume:
		d.reason = "permanent on the volume; the policy is to ignore the image's new package"
	default:
		d.seed, d.reason = true, "the image brings a package that this volume has not seen"
	}
	return d, nil
}

// seedOnVolume tells whether the package was ever on this volume, as a seed or as an upgrade, also where its release was
// removed since, and which release came from it.
func seedOnVolume(s volume.State, digest string) (version string, seen bool) {
	seen = slices.Contains(s.Seeds, digest) || slices.Contains(s.Removed, digest)
	for v, r := range s.Releases {
		if r.Package == digest {
			version, seen = v, true
		}
	}
	return version, seen
}
