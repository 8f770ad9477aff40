package families_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/families"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// before has for each OTP one whose ERTS runs in its image, which has a newer libc, and that its own appups lead from: those
// of kernel, stdlib and sasl know the two major versions before. The oldest has none.
var before = map[string]string{"27": "25", "29": "27"}

const oldest = "25"

// TestANewERTSComesInThePackage: the image has no OTP at all. The seed brings that of an older one, the package that of the
// image's tools, and a relup as systools makes it between the two: up by way of the new emulator with the old release
// (restart_new_emulator), then once more into the new one.
func TestANewERTSComesInThePackage(t *testing.T) {
	ship.OnEachOTPBut(t, oldest, func(t *testing.T, set *images.Set) {
		l := conceive(t, set, family("relx"))
		pkg := l.overERTS()
		l.without(set.Image)
		l.boots()
		old := l.RPC("erlang", "system_info", "[version]")

		l.Ends(l.Upgrade(pkg), 5)
		l.breaks(pkg, old)
		l.Ends(l.Upgrade(pkg, "--restart"), 0)
		l.runs(families.Second)
		now := l.RPC("erlang", "system_info", "[version]")
		if now == old {
			t.Errorf("the ERTS is still %s", now)
		}
		l.keepsItsSetting()
		l.leavesNothing()
		l.Must(l.Restart(t.Context(), ship.Grace))
		l.runs(families.Second)

		l.Ends(l.Agent(nil, "rollback", "--restart"), 0)
		l.runs(families.First)
		if again := l.RPC("erlang", "system_info", "[version]"); again != old {
			t.Errorf("the ERTS is %s, not %s again", again, old)
		}
		l.keepsItsSetting()
		l.leavesNothing()
		l.Ends(l.Agent(nil, "remove", families.Second), 0)
		if left := l.in("ls -d /var/lib/release/erts-*"); strings.Contains(left, strings.Trim(now, `"`)) {
			t.Errorf("there is still %s", left)
		}
	})
}

// breaks has two upgrades fail, one in which the new emulator does not start, and one in which the upgrade does not get through
// in it. Each ends in the old release, with the old ERTS.
func (l *life) breaks(pkg []byte, erts string) {
	l.T.Helper()
	for name, spoil := range map[string]repack.Edit{
		"the emulator": func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/bin/beam.smp") {
				content = []byte("#!/bin/sh\nexit 3\n")
			}
			return name, content
		},
		"the relup": func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/relup") {
				content = bytes.Replace(content, []byte("{code_change,up,"), []byte("{apply,{erlang,error,[oops]}},{code_change,up,"), 1)
			}
			return name, content
		},
	} {
		bad, err := repack.Bytes(pkg, spoil)
		l.Must(err)
		if a := l.Ends(l.Upgrade(bad, "--restart"), 4); !strings.Contains(a.Stderr, "tally 1.0.0 runs again") {
			l.T.Errorf("where %s is broken it says %s", name, a.Stderr)
		}
		l.runs(families.First)
		if now := l.RPC("erlang", "system_info", "[version]"); now != erts {
			l.T.Errorf("where %s is broken the ERTS is %s, not %s", name, now, erts)
		}
		l.leavesNothing()
	}
}

// TestAnERTSThatNobodyHasIsRefused: neither the package, nor the image, nor a restart helps.
func TestAnERTSThatNobodyHasIsRefused(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		l := conceive(t, set, family("relx-thin"))
		l.boots()
		erts := strings.Trim(l.RPC("erlang", "system_info", "[version]"), `"`)
		pkg, err := repack.Bytes(l.pkg(families.Second), func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/tally.rel") {
				content = bytes.ReplaceAll(content, []byte(`"`+erts+`"`), []byte(`"99.9"`))
			}
			return name, content
		})
		l.Must(err)
		was := l.in("cd /var/lib/release && find lib releases erts* .agent/packages .agent/stage | sort")
		for _, flags := range [][]string{nil, {"--restart"}} {
			a := l.Ends(l.Upgrade(pkg, flags...), 3)
			for _, words := range []string{"it needs a new image, with erts-99.9: this one has erts-" + erts, "tally 1.0.0 still runs, nothing was changed"} {
				if !strings.Contains(a.Stderr, words) {
					t.Errorf("with %v it does not say %q: %s", flags, words, a.Stderr)
				}
			}
		}
		if after := l.in("cd /var/lib/release && find lib releases erts* .agent/packages .agent/stage | sort"); after != was {
			t.Errorf("the volume was\n%s\nand is\n%s", was, after)
		}
		l.isTheSameNode()
	})
}

// overERTS makes the seed one that brings the ERTS before, and is the later package with a relup from that.
func (l *life) overERTS() []byte {
	l.T.Helper()
	later := l.T.TempDir()
	l.Must(os.Rename(filepath.Join(l.dir, "relx-1.1.0.tar.gz"), filepath.Join(later, "new.tar.gz")))
	l.Must(l.family.Packages(l.T.Context(), l.Session, before[l.Set.OTP], l.dir))
	l.Must(os.Link(filepath.Join(l.dir, "relx-1.0.0.tar.gz"), filepath.Join(later, "old.tar.gz")))
	root, err := images.Root()
	l.Must(err)
	build := exec.CommandContext(l.T.Context(), "docker", "run", "--rm", "-v", later+":/w", "-v", filepath.Join(root, "integration", "families")+":/src:ro",
		"erlang:"+l.Set.OTP, "escript", "/src/erts.escript", "/w/old.tar.gz", "/w/new.tar.gz", "/w/relup")
	if text, err := build.CombinedOutput(); err != nil {
		l.T.Fatalf("cannot make the relup: %v\n%s", err, text)
	}
	relup, err := os.ReadFile(filepath.Join(later, "relup"))
	l.Must(err)
	if !bytes.Contains(relup, []byte("restart_new_emulator")) {
		l.T.Fatalf("the relup is\n%s", relup)
	}
	pkg, err := os.ReadFile(filepath.Join(later, "new.tar.gz"))
	l.Must(err)
	pkg, err = repack.Bytes(pkg, func(name string, content []byte) (string, []byte) {
		if strings.HasSuffix(name, "/relup") {
			content = relup
		}
		return name, content
	})
	l.Must(err)
	return pkg
}

// without makes an image of another one that has no OTP, and has the life run in it.
func (l *life) without(image string) {
	l.T.Helper()
	dir := l.T.TempDir()
	dockerfile := "FROM " + image + "\nUSER root\nRUN rm -rf /usr/lib/erlang /usr/local/lib/erlang /usr/bin/erl /usr/local/bin/erl\nUSER app\n"
	l.Must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	bare := *l.Set
	bare.Image = image + "-bare"
	var progress bytes.Buffer
	if err := (docker.Build{Dir: dir, File: "Dockerfile", Tag: bare.Image}).Run(l.T.Context(), &progress); err != nil {
		l.T.Fatalf("%v\n%s", err, progress.String())
	}
	l.Set = &bare
}

// leavesNothing fails the story where something of a restart of the emulator is left.
func (l *life) leavesNothing() {
	l.T.Helper()
	left := l.in("cd /var/lib/release/releases && ls -d *new_* 2>/dev/null; cat RELEASES start_erl.data")
	if strings.Contains(left, "new_") || strings.Contains(left, "tmp_current") {
		l.T.Errorf("there is\n%s", left)
	}
}
