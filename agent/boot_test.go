package agent

import (
	"testing"
	"time"

	"theseus/volume"
)

func TestBootTable(t *testing.T) {
	known := volume.State{
		Current: "1.1.0", Previous: "1.0.0", Seeds: []string{"seed-1.0.0"}, Removed: []string{"upgrade-1.0.5"},
		Releases: map[string]volume.Release{"1.0.0": {Package: "seed-1.0.0", Permanent: time.Unix(1, 0)}, "1.1.0": {Package: "upgrade"}, "1.3.0": {Package: "unpacked-1.3.0", Wanted: true}},
	}
	dying := func(phase string) volume.State {
		s := known
		s.Operation = &volume.Operation{Kind: "upgrade", From: "1.1.0", To: "1.2.0", Phase: phase}
		return s
	}
	booted := func(times int) volume.State { // as often, with nothing before it, and never well
		return volume.State{Current: "2.0.0", Seeds: []string{"seed-2.0.0"}, Releases: map[string]volume.Release{
			"2.0.0": {Package: "seed-2.0.0", Unproven: true, Boots: times},
		}}
	}
	givenUp := known
	givenUp.Seeds = []string{"seed-1.0.0", "seed-2.0.0"}
	givenUp.Failed = map[string]volume.Failure{"2.0.0": {Boots: 3, Package: "seed-2.0.0", Reason: "it never ran well"}}
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
		{"a new image with what was only unpacked for later wins", known, "unpacked-1.3.0", SeedNewer, true, "1.1.0", false},
		{"an upgrade that died while installing is reverted", dying("installing"), "seed-1.0.0", SeedNewer, false, "1.1.0", true},
		{"an upgrade that died on probation is reverted", dying("probation"), "", SeedNewer, false, "1.1.0", true},
		{"an upgrade that died after its commit is not", dying(volume.PhaseCommitted), "", SeedNewer, false, "1.1.0", false},
		{"an empty volume boots the seed, whatever the policy is", volume.State{}, "new", SeedImage, true, "", false},
		{"an image whose package was given up boots the volume", givenUp, "seed-2.0.0", SeedNewer, false, "1.1.0", false},
		{"also where the policy is to boot it", givenUp, "seed-2.0.0", SeedImage, false, "1.1.0", false},
		{"a newer image is one more try", givenUp, "seed-2.0.1", SeedNewer, true, "1.1.0", false},
		{"a release that has boots left is booted", booted(2), "seed-2.0.0", SeedNewer, false, "2.0.0", false},
		{"one that is spent, with nothing before it, is booted all the same", booted(3), "seed-2.0.0", SeedNewer, false, "2.0.0", false},
		{"also without a package", booted(3), "", SeedNewer, false, "2.0.0", false},
		{"unless the image has another one", booted(3), "seed-1.0.0", SeedVolume, true, "2.0.0", false},
		{"which is ignored as long as there are boots left", booted(2), "seed-1.0.0", SeedVolume, false, "2.0.0", false},
	} {
		d, err := decideBoot(c.state, c.seed, Config{SeedPolicy: c.policy, BootAttempts: 3})
		if err != nil {
			t.Errorf("%s: %v", c.about, err)
		}
		if d.seed != c.seeds || d.version != c.version || (d.reverted != nil) != c.reverted || d.reason == "" {
			t.Errorf("%s: got %+v", c.about, d)
		}
	}
}

func TestNothingToBootIsAnError(t *testing.T) {
	if _, err := decideBoot(volume.State{}, "", Config{SeedPolicy: SeedNewer}); err == nil {
		t.Error("an empty volume without a seed boots something")
	}
}
