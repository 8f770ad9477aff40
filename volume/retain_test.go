package volume

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSurplusIsWhatIsOldestAndNotNeeded(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	release := func(version string, unpacked, permanent int) Release {
		r := Release{Version: version, ERTS: "1", Package: "p" + version, Unpacked: at(unpacked), Own: []string{"lib/demo-" + version, "lib/shared-1"}}
		if permanent > 0 {
			r.Permanent = at(permanent)
		}
		return r
	}
	s := State{Current: "5", Previous: "4", Releases: map[string]Release{
		"1": release("1", 1, 1), "2": release("2", 2, 9), "3": release("3", 3, 0), "4": release("4", 4, 4), "5": release("5", 5, 5),
	}}
	busy := s
	busy.Operation = &Operation{Kind: "upgrade", From: "5", To: "3"}
	sizes := usage{"lib/shared-1": 1000}
	for version := range s.Releases {
		sizes["lib/demo-"+version], sizes["p"+version] = 10, 5
	}
	for name, c := range map[string]struct {
		state State
		keep  Keep
		inUse string
		want  Surplus
	}{
		"no limit":                    {s, Keep{}, "5", Surplus{}},
		"room":                        {s, Keep{Releases: 5}, "5", Surplus{}},
		"the oldest":                  {s, Keep{Releases: 4}, "5", Surplus{Versions: []string{"1"}}},
		"one that came back late":     {s, Keep{Releases: 3}, "5", Surplus{Versions: []string{"1", "3"}}},
		"never what is needed":        {s, Keep{Releases: 1}, "5", Surplus{Versions: []string{"1", "3", "2"}}},
		"never what runs":             {s, Keep{Releases: 2}, "1", Surplus{Versions: []string{"3", "2"}}},
		"never what is under way":     {busy, Keep{Releases: 1}, "5", Surplus{Versions: []string{"1", "2"}}},
		"bytes, shared ones once":     {s, Keep{Bytes: 1075}, "5", Surplus{}},
		"more bytes":                  {s, Keep{Bytes: 1074}, "5", Surplus{Versions: []string{"1"}}},
		"both":                        {s, Keep{Releases: 4, Bytes: 1045}, "5", Surplus{Versions: []string{"1", "3"}}},
		"bytes that cannot be spared": {s, Keep{Bytes: 1000}, "5", Surplus{Versions: []string{"1", "3", "2"}, Over: 30}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.state.surplus(c.keep, c.inUse, sizes)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatReleasesOccupyIsMeasuredWithTheirPackages(t *testing.T) {
	v := seeded(t)
	one, err := v.Occupied()
	must(t, err)
	r := publish(t, v, thin("1.1.0"))
	two, err := v.Occupied()
	must(t, err)
	// greet is shared, and the image's kernel has no bytes here; MANIFEST is not counted in Size.
	info, err := os.Stat(v.packagePath(r.Package))
	must(t, err)
	manifest, err := os.Stat(v.Path("releases/1.1.0/MANIFEST"))
	must(t, err)
	greet, err := treeBytes(v.Path("lib/greet-1.0.0"))
	must(t, err)
	if got, want := two-one, r.Size-greet+info.Size()+manifest.Size(); got != want || greet < 5000 {
		t.Errorf("1.1.0 occupies %d bytes, want %d", got, want)
	}
	surplus, err := v.Surplus(Keep{Bytes: two - 1}, "1.0.0")
	if diff := cmp.Diff(Surplus{Versions: []string{"1.1.0"}}, surplus); diff != "" || err != nil {
		t.Error(err, diff)
	}
	must(t, v.Remove("1.1.0"))
	if left, err := v.Occupied(); left != one || err != nil {
		t.Errorf("after the removal %d, %v; before %d", left, err, one)
	}
}

// TestAPackageOfARemovedReleaseWasSeen: an image that brings it is no new one. That of a release which never was
// permanent may be.
func TestAPackageOfARemovedReleaseWasSeen(t *testing.T) {
	v := seeded(t)
	born, unborn := publish(t, v, thin("1.1.0")), publish(t, v, thin("1.2.0"))
	must(t, v.Begin(Operation{ID: "u1", Kind: "upgrade", From: "1.0.0", To: "1.1.0"}))
	must(t, v.Commit(false))
	must(t, v.Finish())
	must(t, v.Begin(Operation{ID: "u2", Kind: "rollback", From: "1.0.0", To: "1.0.0"}))
	must(t, v.Commit(false))
	must(t, v.Finish())
	must(t, v.Remove("1.1.0"))
	must(t, v.Remove("1.2.0"))
	if diff := cmp.Diff([]string{born.Package}, crash(t, v).State().Removed); diff != "" {
		t.Errorf("of %s and %s, which never booted:\n%s", born.Package, unborn.Package, diff)
	}
	var s State
	for n := range removedKept + 10 {
		s.rememberRemoved(strconv.Itoa(n))
		s.rememberRemoved("again and again")
	}
	if len(s.Removed) != removedKept || s.Removed[0] != "11" || s.Removed[removedKept-1] != "again and again" {
		t.Errorf("%d are remembered, the first is %s", len(s.Removed), s.Removed[0])
	}
}
