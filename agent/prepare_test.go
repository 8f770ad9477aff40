package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/volume"
)

func TestAReleaseThatIsUnusableGivesWayToTheLatestThatWasPermanent(t *testing.T) {
	was := func(version string, hour int) volume.Release {
		return volume.Release{Version: version, Permanent: time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)}
	}
	s := volume.State{Current: "2.1.0", Previous: "2.0.0", Releases: map[string]volume.Release{
		"1.0.0": was("1.0.0", 1), "2.0.0": was("2.0.0", 3), "2.1.0": was("2.1.0", 4), "1.1.0": was("1.1.0", 2),
		"3.0.0": {Version: "3.0.0"}, // never was
	}}
	if diff := cmp.Diff([]string{"2.1.0", "2.0.0", "1.1.0", "1.0.0"}, bootable(s, "2.1.0")); diff != "" {
		t.Error(diff)
	}
}
