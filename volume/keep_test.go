package volume

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDamageIsNamedAndRestored(t *testing.T) {
	for name, damage := range map[string]struct {
		do   func(v *Volume) error
		want string // what Verify names
	}{
		"a beam changed": {func(v *Volume) error {
			return os.WriteFile(v.Path("lib/demo-1.0.0/ebin/demo.beam"), []byte("code of 9.9.9"), 0o644)
		}, "lib/demo-1.0.0/ebin/demo.beam has other content"},
		"a beam emptied":       {func(v *Volume) error { return os.Truncate(v.Path("lib/demo-1.0.0/ebin/demo.beam"), 0) }, "lib/demo-1.0.0/ebin/demo.beam has 0 bytes, not 13"},
		"a beam removed":       {func(v *Volume) error { return os.Remove(v.Path("lib/demo-1.0.0/ebin/demo.beam")) }, "lib/demo-1.0.0/ebin/demo.beam is missing"},
		"an application lost":  {func(v *Volume) error { return os.RemoveAll(v.Path("lib/greet-1.0.0")) }, "lib/greet-1.0.0/ebin/greet.app is missing"},
		"a mode changed":       {func(v *Volume) error { return os.Chmod(v.Path("releases/1.0.0/start.boot"), 0o600) }, "releases/1.0.0/start.boot has mode -rw-------, not -rw-r--r--"},
		"the release lost":     {func(v *Volume) error { return os.RemoveAll(v.ReleaseDir("1.0.0")) }, "releases/1.0.0/MANIFEST is missing"},
		"the manifest changed": {func(v *Volume) error { return os.Truncate(v.Path("releases/1.0.0/MANIFEST"), 10) }, "releases/1.0.0/MANIFEST has other content"},
		"a file became a link": {func(v *Volume) error {
			path := v.Path("releases/1.0.0/sys.config")
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		}, "releases/1.0.0/sys.config has 11 bytes, not 30"},
	} {
		t.Run(name, func(t *testing.T) {
			v := seeded(t)
			if err := damage.do(v); err != nil {
				t.Fatal(err)
			}
			found, err := v.Repair("1.0.0")
			if _, is := errors.AsType[*DamageError](found); !is || !strings.Contains(found.Error(), damage.want) {
				t.Fatalf("got %v, want one about %q", found, damage.want)
			}
			must(t, err)
			must(t, v.Verify("1.0.0"))
			if leftovers := append(list(t, v.agentPath("stage")), list(t, v.agentPath("trash"))...); len(leftovers) > 0 {
				t.Errorf("left behind: %v", leftovers)
			}
		})
	}
}

func TestRepairNeedsTheKeptPackage(t *testing.T) {
	v := seeded(t)
	must(t, os.Remove(v.packagePath(v.State().Releases["1.0.0"].Package)))
	must(t, os.Remove(v.Path("releases/1.0.0/start.boot")))
	_, err := v.Repair("1.0.0")
	const want = "release 1.0.0 is damaged: releases/1.0.0/start.boot is missing, and it cannot be restored: its package is not kept on the volume"
	if err == nil || err.Error() != want {
		t.Error(err)
	}
}

func TestRemoveKeepsWhatOtherReleasesNeed(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	if err := v.Remove("1.1.0"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"demo-1.0.0", "greet-1.0.0", "kernel-8.5.3", "stdlib-4.2"}, names(t, v, libDir)); diff != "" {
		t.Errorf("lib:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1.0.0"}, names(t, v, releaseDir)); diff != "" {
		t.Errorf("releases:\n%s", diff)
	}
	if kept := names(t, v, agentDir+"/packages"); len(kept) != 1 {
		t.Errorf("packages: %v", kept)
	}
	if err := v.Verify("1.0.0"); err != nil {
		t.Error(err)
	}
	publish(t, v, thin("1.1.0")) // nothing of the removed one is in the way
}

func TestRemoveRefusesWhatIsInUse(t *testing.T) {
	v := seeded(t)
	for _, version := range []string{"1.1.0", "1.2.0", "1.3.0"} {
		publish(t, v, thin(version))
	}
	if err := v.Seed("1.1.0", v.State().Releases["1.1.0"].Package); err != nil {
		t.Fatal(err)
	}
	if err := v.Begin(Operation{Kind: "upgrade", From: "1.1.0", To: "1.2.0"}); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{
		"1.0.0": "where a rollback leads",
		"1.1.0": "the release that boots",
		"1.2.0": "part of the upgrade under way",
		"7.7.7": `release "7.7.7" is not on the volume`,
	} {
		if err := v.Remove(version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Remove(%s) = %v, want %q", version, err, want)
		}
	}
	if err := v.Remove("1.3.0"); err != nil {
		t.Error(err)
	}
}

func names(t *testing.T, v *Volume, dir string) []string {
	t.Helper()
	names, err := directoryNames(v.disk, v.Path(dir))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestRecoverCollectsWhatACrashLeft puts the volume into the state after each step of a publish or a removal,
// and lets a new agent find it.
func TestRecoverCollectsWhatACrashLeft(t *testing.T) {
	steps := map[string]func(t *testing.T, v *Volume){
		"while a package comes": func(t *testing.T, v *Volume) { write(t, v.agentPath("packages", "1234"+partSuffix), "half") },
		"a package received":    func(t *testing.T, v *Volume) { receive(t, v, pack(t, thin("1.1.0"))) },
		"a package unpacked":    func(t *testing.T, v *Volume) { stage(t, v, thin("1.1.0")) },
		"applications in place": func(t *testing.T, v *Volume) {
			s := stage(t, v, thin("1.1.0"))
			must(t, os.Rename(s.path("lib/demo-1.1.0"), v.Path("lib/demo-1.1.0")))
		},
		"published, not recorded": func(t *testing.T, v *Volume) {
			publish(t, v, thin("1.1.0"))
			must(t, v.update(func(s *State) error { delete(s.Releases, "1.1.0"); return nil }))
		},
		"a tree in the trash":       func(t *testing.T, v *Volume) { must(t, os.Mkdir(v.agentPath("trash", "x"), 0o755)) },
		"state.json being replaced": func(t *testing.T, v *Volume) { write(t, v.agentPath(".state.json.tmp"), "half") },
		"RELEASES being replaced":   func(t *testing.T, v *Volume) { write(t, v.Path(releaseDir, ".RELEASES.tmp"), "half") },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			v := seeded(t)
			v.layBallast()
			want := append(list(t, v.root), v.State().Current)
			step(t, v)
			v = crash(t, v)
			if _, err := v.Recover(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, append(list(t, v.root), v.State().Current)); diff != "" {
				t.Errorf("after the recovery (-before +after):\n%s", diff)
			}
			if err := v.Verify("1.0.0"); err != nil {
				t.Error(err)
			}
			if report, err := v.Recover(); len(report) > 0 || err != nil {
				t.Errorf("a second recovery found something: %v, %v", report, err)
			}
			publish(t, v, thin("1.1.0")) // and the next try is not in the way of the first
		})
	}
}

// TestRecoverGoesOnBehindWhatItCannotMove: a mount point, like a directory of another user, cannot be renamed away.
func TestRecoverGoesOnBehindWhatItCannotMove(t *testing.T) {
	v := seeded(t)
	must(t, os.Mkdir(v.Path("lib/aaa-mounted"), 0o755))
	mountSmall(t, v.Path("lib/aaa-mounted"), "size=512k")
	must(t, os.Mkdir(v.Path("lib/demo-0.9.0"), 0o755))
	write(t, v.agentPath("packages", "1234"+partSuffix), "half")
	report, err := v.Recover()
	if err == nil || !strings.Contains(err.Error(), "lib/aaa-mounted") {
		t.Errorf("what could not be moved is not named: %v", err)
	}
	want := []string{"removed lib/demo-0.9.0, which belongs to no release", "removed .agent/packages/1234.part, which belongs to no release"}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// TestRecoverLeavesAloneWhatIsUnderWay: an upgrade tidies up after the one before it while the keeper restores the release that
// is to boot in the place of another one, and counts boots.
func TestRecoverLeavesAloneWhatIsUnderWay(t *testing.T) {
	v := seeded(t)
	content := pack(t, thin("1.0.0"))
	over := make(chan struct{})
	var tidying sync.WaitGroup
	tidying.Go(func() {
		for done := false; !done; {
			if report, err := v.Recover(); err != nil || len(report) > 0 {
				t.Errorf("it found %q, %v", report, err)
			}
			select {
			case <-over:
				done = true
			default:
			}
		}
	})
	defer tidying.Wait()
	defer close(over)
	for range 50 {
		must(t, os.Remove(v.Path("releases/1.0.0/start.boot")))
		_, err := v.Receive(t.Context(), bytes.NewReader(content), nil)
		must(t, err)
		_, err = v.Repair("1.0.0")
		must(t, err)
		must(t, v.CountBoot("1.0.0", time.Now()))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinkFollowsTheImage(t *testing.T) {
	v := seeded(t)
	newer := image(t)
	must(t, v.Link(newer, "1.0.0"))
	for _, name := range []string{"erts-13.1.5", "lib/kernel-8.5.3", "lib/stdlib-4.2"} {
		if target, err := os.Readlink(v.Path(name)); err != nil || target != newer.OTPRoot+"/"+name {
			t.Errorf("%s -> %s, %v", name, target, err)
		}
	}
	must(t, os.Rename(newer.OTPRoot+"/lib/kernel-8.5.3", newer.OTPRoot+"/lib/kernel-9.1"))
	err := v.Link(newer, "1.0.0")
	refusal := refusedWith(t, err, NeedsImage)
	want := "cannot use demo 1.0.0: it needs a new image, with kernel-8.5.3: this one has kernel-9.1"
	if refusal.Error() != want {
		t.Errorf("got  %v\nwant %s", refusal, want)
	}
}

func TestPackageThatNeedsAnotherOTPIsRefusedBeforeItIsPublished(t *testing.T) {
	v := open(t, t.TempDir())
	_, err := stage(t, v, thin("1.0.0")).Publish(Image{})
	refusal := refusedWith(t, err, NeedsImage)
	if want := "it needs a new image, with erts-13.1.5: this one has no OTP"; !strings.Contains(refusal.Error(), want) {
		t.Error(refusal)
	}
	if found := names(t, v, libDir); len(found) > 0 {
		t.Errorf("published: %v", found)
	}
}

// full is a package that brings ERTS and OTP's own applications.
func full(version string) []member {
	return append(thin(version),
		file("erts-13.1.5/bin/erlexec", "elf"),
		file("lib/kernel-8.5.3/ebin/kernel.app", "{}."),
		file("lib/stdlib-4.2/ebin/stdlib.app", "{}."))
}

func TestWhatTheVolumeHasIsNotWrittenAgain(t *testing.T) {
	v := seeded(t)
	s := stage(t, v, full("1.1.0"))
	for _, tree := range []string{"erts-13.1.5", "lib/kernel-8.5.3", "lib/greet-1.0.0"} {
		if _, err := os.Lstat(s.path(tree)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is in the stage: %v", tree, err)
		}
	}
	if _, err := s.Publish(image(t)); err != nil {
		t.Error(err)
	}
	must(t, v.Verify("1.1.0"))
}

func TestWhatMayLeaveTheVolumeIsWrittenAgain(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0")) // nobody needs to keep it
	s := stage(t, v, thin("1.1.0"))
	must(t, v.Remove("1.1.0"))
	if _, err := s.Publish(image(t)); err != nil {
		t.Error(err)
	}
	must(t, v.Verify("1.1.0"))
}

func TestWhatLeavesTheVolumeBeforeThePublicationIsMissed(t *testing.T) {
	v := open(t, t.TempDir())
	r, err := stage(t, v, full("1.0.0")).Publish(Image{})
	must(t, errors.Join(err, v.Seed(r.Version, r.Package)))
	s := stage(t, v, full("1.1.0"))
	must(t, v.discardTree(v.Path("lib/kernel-8.5.3")))
	if _, err := s.Publish(image(t)); err == nil || !strings.Contains(err.Error(), "lib/kernel-8.5.3 has left the volume") {
		t.Errorf("published without it: %v", err)
	}
	if isRealDir(v.disk, v.ReleaseDir("1.1.0")) {
		t.Error("the release is there")
	}
}

func TestPackageWithItsOwnOTPNeedsNoImage(t *testing.T) {
	v := open(t, t.TempDir())
	s := stage(t, v, full("1.0.0"))
	if !s.HasERTS {
		t.Error("its ERTS was not seen")
	}
	r, err := s.Publish(Image{})
	must(t, err)
	must(t, v.Link(Image{}, r.Version))
	must(t, v.Verify(r.Version))
	if !isRealDir(v.disk, v.Path("erts-13.1.5")) {
		t.Error("erts-13.1.5 is not the package's own")
	}
}

func TestLinksIntoTheImageStayWhenAPackageBringsTheSame(t *testing.T) {
	v := seeded(t)
	r := publish(t, v, full("1.1.0"))
	if isRealDir(v.disk, v.Path("lib/kernel-8.5.3")) || isRealDir(v.disk, v.Path("erts-13.1.5")) {
		t.Error("a link that the running node may use was replaced")
	}
	if diff := cmp.Diff([]string{"lib/demo-1.1.0", "lib/greet-1.0.0"}, r.Own); diff != "" {
		t.Error(diff)
	}
	must(t, os.Remove(v.Path("lib/demo-1.1.0/ebin/demo.beam")))
	_, err := v.Repair("1.1.0")
	must(t, err)
	must(t, v.Verify("1.1.0"))
}

// TestWhatWasAcceptedIsRestoredWhateverTheLimitsAreNow: its MANIFEST proves what it is.
func TestWhatWasAcceptedIsRestoredWhateverTheLimitsAreNow(t *testing.T) {
	v := open(t, t.TempDir())
	publish(t, v, full("1.0.0"))
	write(t, v.Path("releases/1.0.0/sys.config"), "[].% damaged")
	v.Limits = Limits{PackageBytes: 1, UnpackedBytes: 1, Entries: 1, Depth: 1, NameBytes: 1, NamesBytes: 1, Ratio: 1, TextBytes: 1}
	if damage, err := v.Repair("1.0.0"); err != nil || damage == nil {
		t.Errorf("the damage was %v, and is: %v", damage, err)
	}
	must(t, v.Verify("1.0.0"))
}
