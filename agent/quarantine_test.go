package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/volume"
)

// committed is a keeper with an agent around it, whose volume was upgraded from 1.0.0 to 1.1.0, in service.
func committed(t *testing.T, nodes map[string]string) (kept, *agent) {
	t.Helper()
	k := keep(t, nodes)
	k.config.BootAttempts, k.config.RestartDelay, k.config.RestartLimit = 3, time.Millisecond, 5
	a := &agent{config: k.config, log: slog.New(slog.NewTextHandler(t.Output(), nil)), volume: k.volume, journal: k.journal, keeper: k.keeper}
	a.follow(volume.Image{}, seedPackage{})
	if err := k.volume.Prove("1.0.0"); err != nil {
		t.Fatal(err)
	}
	if _, upgraded := nodes["1.1.0"]; upgraded {
		if err := errors.Join(k.volume.Begin(volume.Operation{Kind: "upgrade", From: "1.0.0", To: "1.1.0"}), k.volume.Commit(false), k.volume.Finish()); err != nil {
			t.Fatal(err)
		}
	}
	return k, a
}

// start is a start of the container, with what precedes a launch.
func (k kept) start(a *agent) (status int, reason string) {
	k.t.Helper()
	d, err := a.decide(k.t.Context(), volume.Image{}, seedPackage{})
	if err != nil {
		k.t.Fatal(err)
	}
	return k.run(k.t.Context(), d.version), d.reason
}

func (k kept) tells(kind, text string) {
	k.t.Helper()
	lines, err := k.volume.History(0)
	if err != nil {
		k.t.Fatal(err)
	}
	for _, line := range lines {
		if strings.Contains(string(line), `"kind":"`+kind+`"`) && strings.Contains(string(line), text) {
			return
		}
	}
	k.t.Errorf("no event %s tells %q:\n%s", kind, text, lines)
}

func TestANewlyPermanentReleaseThatNeverBootsGivesWayToTheOneBefore(t *testing.T) {
	for _, policy := range []RestartPolicy{RestartNever, RestartOnFailure} {
		t.Run(string(policy), func(t *testing.T) {
			k, a := committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": "exit 7"})
			k.config.Restart = policy
			k.config.RestartLimit = 2 // that many restarts in a row are one release's, and what boots instead begins anew
			statuses := []int{0}
			if policy == RestartNever {
				statuses = []int{7, 7, 7, 0}
			}
			for n, want := range statuses {
				if got, _ := k.start(a); got != want {
					t.Errorf("start %d ends with %d, not %d", n, got, want)
				}
			}
			want := []string{"1.1.0 launched", "1.1.0 ended", "1.1.0 launched", "1.1.0 ended", "1.1.0 launched", "1.1.0 ended", "1.0.0 launched", "1.0.0 ended"}
			if diff := cmp.Diff(want, k.lives()); diff != "" {
				t.Error(diff)
			}
			k.tells("release.quarantined", "demo 1.1.0 was booted 3 times and never ran well, the last time it ended with exit status 7: it is given up, and 1.0.0 boots instead")
			r := describeRelease(k.volume.State().Releases["1.1.0"], k.volume.State(), "1.0.0")
			if r.Quarantined.IsZero() || r.Status != "old" || !strings.Contains(r.Failed, "booted 3 times") {
				t.Errorf("it is listed as %+v", r)
			}
			boot := a.boot.Load()
			if policy == RestartOnFailure && (boot == nil || boot.version != "1.0.0" || boot.reason != "in the place of 1.1.0, which was given up") {
				t.Errorf("what was booted is %+v", boot)
			}
		})
	}
}

// TestWhatItNeedsMayBeAwayForAMoment: however often a release was booted meanwhile, it is not given up.
func TestWhatItNeedsMayBeAwayForAMoment(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": "exit 7"})
	a.config.BootSpan = time.Hour
	if status, _ := k.start(a); status != 7 {
		t.Errorf("it ends with %d", status)
	}
	k.config.Restart = RestartOnFailure // five of them in a row
	if status, _ := k.start(a); status != 7 || k.volume.State().Releases["1.1.0"].Boots != 7 {
		t.Errorf("it ends with %d, %d boots are counted", status, k.volume.State().Releases["1.1.0"].Boots)
	}
	a.config.BootSpan = time.Nanosecond
	if status, reason := k.start(a); status != 0 || reason != "in the place of 1.1.0, which was given up" {
		t.Errorf("it ends with %d: %s", status, reason)
	}
}

// TestAStartGivesUpWhatWasKilledInEachOfItsBoots: nobody has seen the end of them.
func TestAStartGivesUpWhatWasKilledInEachOfItsBoots(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": waits})
	for range 3 {
		if err := k.volume.CountBoot("1.1.0", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if status, reason := k.start(a); status != 0 || reason != "in the place of 1.1.0, which was given up" {
		t.Errorf("it ends with %d: %s", status, reason)
	}
	k.tells("release.quarantined", "it is given up, and 1.0.0 boots instead")
}

func TestWhatBootsInsteadMustBeWhole(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": "exit 7"})
	write(t, k.volume.Path("lib", "demo-1.0.0", "ebin", "demo.app"), "damaged")
	write(t, k.volume.Path(".agent", "packages", k.volume.State().Releases["1.0.0"].Package+".tar.gz"), "damaged")
	for range 4 {
		if status, _ := k.start(a); status != 7 {
			t.Errorf("it ends with %d", status)
		}
	}
	k.tells("release.spent", "demo 1.1.0 was booted 3 times and never ran well, the last time it ended with exit status 7; there is no release before it that can boot instead")
}

func TestAReleaseThatHasRunWellIsNeverGivenUp(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": "exit 7", "1.1.0": "exit 7"})
	if err := errors.Join(k.volume.CountBoot("1.1.0", time.Now()), k.volume.Quarantine("1.1.0", "1.0.0", volume.Failure{})); err != nil {
		t.Fatal(err)
	}
	for range 4 { // of what has run well once: no crash of it counts
		k.start(a)
	}
	if r := k.volume.State().Releases["1.0.0"]; r.Boots != 0 || k.volume.State().Current != "1.0.0" {
		t.Errorf("%d boots are counted", r.Boots)
	}
}

func TestAnOnlyReleaseIsBootedHoweverOftenItFails(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": "exit 7"})
	a := &agent{config: Config{BootAttempts: 3}, log: k.journal.log, volume: k.volume, journal: k.journal, keeper: k.keeper}
	a.follow(volume.Image{}, seedPackage{})
	var reason string
	for range 4 {
		_, reason = k.start(a)
	}
	if want := "it never ran well in 3 boots, and no release before it can boot"; !strings.HasSuffix(reason, want) {
		t.Errorf("it boots for the reason: %s", reason)
	}
	k.tells("release.spent", "there is no release before it that can boot instead")
}

// spentWith is an agent whose volume holds one release, which is spent, and whose image brings a package.
func spentWith(t *testing.T, seed map[string]string, policy SeedPolicy) *agent {
	t.Helper()
	k := keep(t, map[string]string{"1.0.0": "exit 7"})
	path := filepath.Join(t.TempDir(), "seed.tar.gz")
	write(t, path, string(pack(t, seed)))
	c := Config{Seed: path, SeedPolicy: policy, BootAttempts: 3}
	for range c.BootAttempts {
		if err := k.volume.CountBoot("1.0.0", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return &agent{config: c, log: k.journal.log, volume: k.volume, journal: k.journal, keeper: k.keeper}
}

func TestTheImagesPackageBootsWhereNothingElseIsLeft(t *testing.T) {
	a := spentWith(t, demo("0.9.0", waits), SeedVolume)
	d, err := a.prepare(t.Context(), volume.Image{})
	if s := a.volume.State(); err != nil || d.version != "0.9.0" || s.Current != "0.9.0" || s.Previous != "" || !s.Quarantined("1.0.0") {
		t.Errorf("%+v boots, %v, of %+v", d, err, s)
	}
	kept{a.keeper, t}.tells("release.quarantined", "it is given up, and 0.9.0 boots instead")
}

// TestARebuiltImageDoesNotBootWhatIsInQuarantine: its package is another file, with the same release.
func TestARebuiltImageDoesNotBootWhatIsInQuarantine(t *testing.T) {
	again := demo("1.0.0", "exit 7")
	again["bin/demo"] = "is never unpacked"
	a := spentWith(t, again, SeedImage)
	publish(t, a.volume, demo("0.9.0", waits))
	if err := errors.Join(a.volume.Begin(volume.Operation{Kind: "rollback", From: "1.0.0", To: "0.9.0"}), a.volume.Commit(true), a.volume.Finish(),
		a.volume.Quarantine("1.0.0", "0.9.0", volume.Failure{Reason: "test"})); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d, err := a.prepare(t.Context(), volume.Image{})
		if err != nil || d.version != "0.9.0" || !a.volume.State().Quarantined("1.0.0") {
			t.Errorf("%+v boots, %v", d, err)
		}
	}
}

// TestARebuiltImageDoesNotBeginTheCountAnew where it is booted each time, and what is permanent is its release.
func TestARebuiltImageDoesNotBeginTheCountAnew(t *testing.T) {
	again := demo("1.0.0", "exit 7")
	again["bin/demo"] = "is never unpacked"
	a := spentWith(t, again, SeedImage)
	if d, err := a.prepare(t.Context(), volume.Image{}); err != nil || d.version != "1.0.0" {
		t.Errorf("%+v boots, %v", d, err)
	}
	if r := a.volume.State().Releases["1.0.0"]; r.Boots != a.config.BootAttempts {
		t.Errorf("%d boots are counted", r.Boots)
	}
}

func TestNoLimitOfBootsGivesUpNothing(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": "exit 7"})
	a.config.BootAttempts = 0
	for range 5 {
		if status, _ := k.start(a); status != 7 {
			t.Errorf("it ends with %d", status)
		}
	}
}

func TestAStopCountsAgainstAReleaseUnlessItWasUp(t *testing.T) {
	for up, want := range map[bool]int{false: 1, true: 0} {
		t.Run(fmt.Sprintf("up %v", up), func(t *testing.T) {
			k, _ := committed(t, map[string]string{"1.0.0": waits, "1.1.0": waits})
			ctx, stop := context.WithCancel(t.Context())
			over := make(chan int)
			go func() { over <- k.run(ctx, "1.1.0") }()
			k.runs("1.1.0")
			k.update(func() { k.node.up = up })
			stop()
			<-over
			if boots := k.volume.State().Releases["1.1.0"].Boots; boots != want {
				t.Errorf("%d boots are counted", boots)
			}
		})
	}
}

// unresolved is committed with an upgrade whose configuration cannot be resolved by what the container has now.
func unresolved(t *testing.T) (kept, *agent) {
	t.Helper()
	return committed(t, map[string]string{"1.0.0": "exit 0", "1.1.0": lacks})
}

// refuses is a start of the container in which nothing can be launched.
func (k kept) refuses(a *agent) {
	k.t.Helper()
	d, err := a.decide(k.t.Context(), volume.Image{}, seedPackage{})
	if err != nil || d.version != "1.1.0" {
		k.t.Fatalf("%+v boots, %v", d, err)
	}
	status, err := k.keeper.run(k.t.Context(), d.version)
	if status != 1 || err == nil || !strings.HasPrefix(err.Error(), "cannot boot 1.1.0: its sys.config, filled in, ") {
		k.t.Errorf("it ends with %d: %v", status, err)
	}
}

func TestAConfigurationThatCannotBeResolvedIsABootThatFailed(t *testing.T) {
	k, a := unresolved(t)
	k.refuses(a)
	k.refuses(a)
	if status, _ := k.start(a); status != 0 { // the third of its boots, and the one before it in the same start
		t.Errorf("it ends with %d", status)
	}
	if diff := cmp.Diff([]string{"1.0.0 launched", "1.0.0 ended"}, k.lives()); diff != "" {
		t.Error(diff)
	}
	k.tells("release.quarantined", "demo 1.1.0 was booted 3 times and never ran well, the last time nothing was launched: cannot boot 1.1.0: its sys.config, filled in, ")
	if boot := a.boot.Load(); boot == nil || boot.version != "1.0.0" || boot.reason != "in the place of 1.1.0, which was given up" {
		t.Errorf("what was booted is %+v", boot)
	}
}

// TestAStartGivesUpWhatCouldNotBeResolved where the last of its boots was too early to judge it.
func TestAStartGivesUpWhatCouldNotBeResolved(t *testing.T) {
	k, a := unresolved(t)
	a.config.BootSpan = time.Hour
	for range 3 {
		k.refuses(a)
	}
	a.config.BootSpan = time.Nanosecond
	if status, reason := k.start(a); status != 0 || reason != "in the place of 1.1.0, which was given up" {
		t.Errorf("it ends with %d: %s", status, reason)
	}
}

func TestAReleaseThatHasRunWellDoesNotGiveWayToItsConfiguration(t *testing.T) {
	k, a := unresolved(t)
	if err := k.volume.Prove("1.1.0"); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		k.refuses(a)
	}
	if s := k.volume.State(); s.Current != "1.1.0" || s.Quarantined("1.1.0") || s.Releases["1.1.0"].Boots != 0 {
		t.Errorf("permanent is %s, %+v", s.Current, s.Releases["1.1.0"])
	}
}

// TestWhatAnUpgradeFailedToIsListedUntilTheNextGoesWell, though it is not on the volume any more.
func TestWhatAnUpgradeFailedToIsListedUntilTheNextGoesWell(t *testing.T) {
	k, a := committed(t, map[string]string{"1.0.0": waits})
	failure := volume.Failure{Reason: "gate well: all is lost", At: time.Now(), Package: "digest"}
	if err := errors.Join(k.volume.Begin(volume.Operation{Kind: "upgrade", From: "1.0.0", To: "1.1.0"}), k.volume.Abort(&failure)); err != nil {
		t.Fatal(err)
	}
	list := a.quarantined(k.volume.State())
	if len(list) != 1 || list[0].Name != "demo" || list[0].Version != "1.1.0" || list[0].Status != "removed" || list[0].Failed != failure.Reason || list[0].SHA256 != "digest" {
		t.Errorf("in quarantine are %+v", list)
	}
	publish(t, k.volume, demo("1.2.0", waits))
	if err := errors.Join(k.volume.Begin(volume.Operation{Kind: "upgrade", From: "1.0.0", To: "1.2.0"}), k.volume.Commit(false), k.volume.Finish()); err != nil {
		t.Fatal(err)
	}
	if list := a.quarantined(k.volume.State()); len(list) > 0 {
		t.Errorf("after the next one in quarantine are %+v", list)
	}
	if _, is := k.volume.State().GivenUp("digest"); !is {
		t.Error("an image that brings it boots it")
	}
}
