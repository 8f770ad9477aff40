package agent

import (
	"testing"

	"theseus/volume"
)

func TestBootTable(t *testing.T) {
	known := volume.State{
		Current: "1.1.0", Previous: "1.0.0", Seeds: []string{"seed-1.0.0"}, Removed: []string{"upgrade-1.0.5"},
		Releases: map[string]volume.Release{"1.0.0": {Package: "seed-1.0.0"}, "1.1.0": {Package: "upgrade"}},
	}
	dying := func(phase string) volume.State {
		s := known
		s.Operation = &volume.Operation{Kind: "upgrade", From: "1.1.0", To: "1.2.0", Phase: phase}
		return s
	}
	for _, c := range []struct {
		about    string
		state    volume.State
		seed     string
		policy   SeedPolicy
		seeds    bool
		version  string
		reverted bool
	}{
		{"an empty volume boots the seed", volume.State{}, "new", SeedVolume, true, "", false},
		{"a known seed changes nothing", known, "seed-1.0.0", SeedNewer, false, "1.1.0", false},
		{"an image with what was upgraded from and removed changes nothing", known, "upgrade-1.0.5", SeedNewer, false, "1.1.0", false},
		{"no seed changes nothing", known, "", SeedNewer, false, "1.1.0", false},
		{"a new image wins", known, "seed-2.0.0", SeedNewer, true, "1.1.0", false},
		{"a new image is ignored by policy", known, "seed-2.0.0", SeedVolume, false, "1.1.0", false},
		{"the image's release is forced by policy", known, "seed-1.0.0", SeedImage, true, "1.1.0", false},
		{"the image's release is what is permanent", known, "upgrade", SeedImage, false, "1.1.0", false},
		{"a new image with what was upgraded to in service changes nothing", known, "upgrade", SeedNewer, false, "1.1.0", false},
		{"an upgrade that died while installing is reverted", dying("installing"), "seed-1.0.0", SeedNewer, false, "1.1.0", true},
		{"an upgrade that died on probation is reverted", dying("probation"), "", SeedNewer, false, "1.1.0", true},
		{"an upgrade that died after its commit is not", dying(volume.PhaseCommitted), "", SeedNewer, false, "1.1.0", false},
	} {
		d, err := decideBoot(c.state, c.seed, c.policy)
		if err != nil {
			t.Errorf("%s: %v", c.about, err)
		}
		if d.seed != c.seeds || d.version != c.version || (d.reverted != nil) != c.reverted || d.reason == "" {
			t.Errorf("%s: got %+v", c.about, d)
		}
	}
}

func TestNothingToBootIsAnError(t *testing.T) {
	if _, err := decideBoot(volume.State{}, "", SeedNewer); err == nil {
		t.Error("an empty volume without a seed boots something")
	}
}
