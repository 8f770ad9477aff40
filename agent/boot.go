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
	spent    string            // what boots, and never ran well in as many boots as it has
}

// decideBoot is the boot table. It is a pure function of the recorded state, the digest of the image's
// package (empty: the image has none) and the settings. That P is spent, and one before it can boot, comes first: then P goes
// into quarantine, and this is asked again (agent/quarantine.go).
//
//	volume          | package in the image      | boots
//	----------------+---------------------------+------------------------------------------------
//	empty           | any                       | the package
//	release P       | seen before, or none      | P; policy image: the package's release
//	release P       | not seen before           | policy newer, image: the package; policy volume: P
//	release P       | in quarantine             | P
//	P, spent        | another release's         | the package; in quarantine: P, still
//	upgrade P → N   | before its commit         | as if it had never begun: P
//	                | after its commit          | N
func decideBoot(s volume.State, seed string, c Config) (decision, error) {
	d := decision{version: s.Current, spent: spent(s, c)}
	if op := s.Operation; op != nil && op.Phase != volume.PhaseCommitted {
		d.reverted = op
	}
	if s.Current == "" {
		if seed == "" {
			return d, fmt.Errorf("cannot boot: the volume is empty, and the image has no package in %s (AGENT_SEED)", c.Seed)
		}
		d.seed, d.reason = true, "the volume is empty"
		return d, nil
	}
	d.seed, d.reason = chooseSeed(s, seed, c.SeedPolicy, d.spent != "")
	if d.spent != "" && !d.seed {
		d.reason += fmt.Sprintf("; it never ran well in %d boots, and no release before it can boot", s.Releases[d.spent].Boots)
	}
	if d.reverted != nil {
		d.reason += fmt.Sprintf("; the %s to %s that was under way ended with the node or the container, and was taken back", d.reverted.Kind, d.reverted.To)
	}
	return d, nil
}

// chooseSeed tells whether the image's package boots in the place of what is permanent, and why.
func chooseSeed(s volume.State, seed string, policy SeedPolicy, spent bool) (boots bool, reason string) {
	known, seen := seedOnVolume(s, seed)
	why, givenUp := s.GivenUp(seed)
	switch {
	case seed == "":
		return false, "permanent on the volume; the image brings no package"
	case givenUp:
		return false, "permanent on the volume; the image's package is in quarantine: " + why.Reason
	case spent && known != s.Current:
		return true, "what is permanent never ran well, and no release before it can boot"
	case policy == SeedImage && known == s.Current:
		return false, "permanent on the volume, and the image's package"
	case policy == SeedImage:
		return true, "the policy is to boot the image's package"
	case seen:
		return false, "permanent on the volume; the image's package was seen before"
	case policy == SeedVolume:
		return false, "permanent on the volume; the policy is to ignore the image's new package"
	}
	return true, "the image brings a package that this volume has not seen"
}

// seedOnVolume tells whether the package ever was what boots on this volume, as a seed or as an upgrade, also where its release was
// removed since, and which release came from it. One that was only unpacked for later was not.
func seedOnVolume(s volume.State, digest string) (version string, seen bool) {
	seen = slices.Contains(s.Seeds, digest) || slices.Contains(s.Removed, digest)
	for v, r := range s.Releases {
		if r.Package == digest && (v == s.Current || !r.Permanent.IsZero()) {
			version, seen = v, true
		}
	}
	return version, seen
}
