package integration_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
)

func TestRestartsBootThePermanentRelease(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		s.ends(s.upgrade(s.pkg(images.Second)), 0)
		for _, c := range []struct {
			about string
			do    func(context.Context) error
		}{
			{"docker restart", func(ctx context.Context) error { return s.Restart(ctx, 10*time.Second) }},
			{"docker kill and start", func(ctx context.Context) error {
				if err := s.Kill(ctx, "KILL"); err != nil {
					return err
				}
				if _, err := s.Wait(ctx); err != nil {
					return err
				}
				return s.Start(ctx)
			}},
			{"a new container on the volume", func(context.Context) error { s.replace(set.Image); return nil }},
		} {
			s.must(c.do(t.Context()))
			s.serves(images.Second)
			if got := s.rpc("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"1.1.0"`) {
				t.Errorf("%s: release_handler has %s", c.about, got)
			}
		}
	})
}

func TestAnUpgradeThatDiesBeforeItsCommitBootsTheOldRelease(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "--settle", "1h", "-"}, Stdin: strings.NewReader(string(s.pkg(images.Second)))})
		s.awaitEvent("node.installed")
		s.must(s.Kill(t.Context(), "KILL"))
		_, err := s.Wait(t.Context())
		s.must(err)
		s.must(s.Start(t.Context()))
		s.serves(images.Seed)
		s.tells("upgrade.reverted")
		mended := s.relupWith(func(r string) string { return r + "% mended\n" })
		s.ends(s.upgrade(mended), 0)
		s.serves(images.Second)
	})
}

func TestADamagedReleaseIsRestored(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		for _, damage := range []string{
			"printf X | dd of=lib/demo-1.0.0/ebin/demo_api.beam bs=1 seek=100 conv=notrunc",
			"rm releases/1.0.0/start.boot",
			"rm -r lib/demo-1.0.0; for p in .agent/packages/*; do : > $p; done", // the image has the package as well
			": > releases/RELEASES; echo garbage > releases/start_erl.data; echo 15 9.9 > releases/new_start_erl.data",
		} {
			_, err := s.Output(t.Context(), "sh", "-c", "cd /var/lib/release && "+damage)
			s.must(err)
			s.must(s.Restart(t.Context(), 10*time.Second))
			s.serves(images.Seed)
		}
		s.tells("release.restored")
		s.ends(s.upgrade(s.pkg(images.Second)), 0)
	})
}

func TestAnImageWhosePackageCannotBeUsedBootsTheVolume(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		several := filepath.Dir(set.Package(images.Seed))
		for _, options := range [][]string{{"-e", "AGENT_SEED=/etc/passwd"}, {"-e", "AGENT_SEED=/packages", "-v", several + ":/packages:ro"}} {
			s.options = options
			s.replace(set.Image)
			s.serves(images.Seed)
			s.tells("volume.seed_refused")
		}
	})
}

// tells fails the story unless the history has such an event.
func (s *ship) tells(kind string) {
	s.t.Helper()
	var kinds []string
	for _, e := range s.history() {
		if e.Kind == kind {
			return
		}
		kinds = append(kinds, e.Kind)
	}
	s.t.Errorf("the history has no %s: %v", kind, kinds)
}

func TestANodeThatDiesOnProbationIsReverted(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		upgraded := make(chan answer)
		go func() { upgraded <- s.upgrade(s.pkg(images.Second), "--settle", "1h") }()
		s.awaitEvent("node.installed")
		s.killNode()
		a := s.ends(<-upgraded, 4)
		if !strings.Contains(a.stderr, "the node was restarted, demo 1.0.0 runs again") {
			t.Errorf("it says %s", a.stderr)
		}
		s.serves(images.Seed)
	})
}

func (s *ship) killNode() {
	s.t.Helper()
	_, err := s.Output(s.t.Context(), "sh", "-c", "kill -9 "+s.rpc("os", "getpid"))
	s.must(err)
}

func TestAnInstallationThatFailsBehindThePointOfNoReturnIsReverted(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		broken := s.relupWith(func(r string) string {
			return strings.Replace(r, "point_of_no_return,", "point_of_no_return,{apply,{erlang,error,[boom]}},", 1)
		})
		a := s.ends(s.upgrade(broken), 4)
		if !strings.Contains(a.stderr, "boom") || !strings.Contains(a.stderr, "demo 1.0.0 runs again") {
			t.Errorf("it says %s", a.stderr)
		}
		s.serves(images.Seed)
		s.ends(s.upgrade(s.pkg(images.Second)), 0) // mended, and of the same version
		s.serves(images.Second)
	})
}

func TestAForgottenModuleIsTakenBackInService(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		node := s.status().Node
		forgetful := s.relupWith(func(r string) string {
			return strings.Replace(r, "{load,{demo_api,soft_purge,soft_purge}},", "", 1)
		})
		a := s.ends(s.upgrade(forgetful), 4)
		if !strings.Contains(a.stderr, "demo_api") || !strings.Contains(a.stderr, "runs again, in service") {
			t.Errorf("it says %s", a.stderr)
		}
		s.serves(images.Seed)
		if now := s.status().Node; now.PID != node.PID {
			t.Error("the node was restarted")
		}
	})
}

func TestARollbackWithoutARelupNeedsLeaveToRestart(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		oneWay := s.relupWith(func(r string) string { return r[:strings.LastIndex(r, `[{"1.0.0"`)] + "[]}.\n" })
		s.ends(s.upgrade(oneWay), 0)
		a := s.ends(s.agent(nil, "rollback"), 5)
		if !strings.Contains(a.stderr, "agent rollback --restart 1.0.0") || !strings.Contains(a.stderr, "nothing was changed") {
			t.Errorf("it says %s", a.stderr)
		}
		s.serves(images.Second)
		s.ends(s.agent(nil, "rollback", "--restart", images.Seed), 0)
		s.serves(images.Seed)
		s.must(s.Restart(t.Context(), 10*time.Second))
		s.serves(images.Seed)
	})
}

func TestTheContainerEndsWithTheNode(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		for _, c := range []struct {
			about  string
			do     func(s *ship)
			status int
		}{
			{"docker stop", func(s *ship) { s.must(s.Stop(t.Context(), 10*time.Second)) }, 0},
			{"agent stop", func(s *ship) { s.ends(s.agent(nil, "stop"), 0) }, 0},
			{"INT", func(s *ship) { s.must(s.Kill(t.Context(), "INT")) }, 0},
			{"halt(7) in the node", func(s *ship) { s.agent(nil, "rpc", "erlang", "halt", "[7]") }, 7},
			{"kill -9 of the node", func(s *ship) { s.killNode() }, 137},
		} {
			s := launch(t, set)
			c.do(s)
			status, err := s.Wait(t.Context())
			s.must(err)
			if status != c.status {
				t.Errorf("%s: exit status %d, want %d\n%s", c.about, status, c.status, s.Logs(t.Context()))
			}
		}
	})
}

func TestARebuiltImageWithTheSameReleaseChangesNothing(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		s.ends(s.upgrade(s.pkg(images.Second)), 0)
		s.replace(s.imageWith("rebuilt", func(name string, content []byte) (string, []byte) { return name, content }))
		s.serves(images.Second)
		s.must(s.Restart(t.Context(), 10*time.Second))
		s.serves(images.Second)
	})
}

func TestANewImageBootsItsOwnRelease(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		s.ends(s.upgrade(s.pkg(images.Second)), 0)
		s.replace(s.imageOf("newer", s.pkg(images.Third)))
		s.serves(images.Third)
		s.must(s.Restart(t.Context(), 10*time.Second))
		s.serves(images.Third)
		s.ends(s.agent(nil, "rollback"), 0)
		s.serves(images.Second)
	})
}

// imageWith is the ship's image with a seed that was packed once more.
func (s *ship) imageWith(tag string, edit repack.Edit) string {
	s.t.Helper()
	pkg, err := repack.Bytes(s.pkg(images.Seed), edit)
	s.must(err)
	return s.imageOf(tag, pkg)
}

// imageOf is the ship's image with another seed.
func (s *ship) imageOf(tag string, seed []byte) string {
	s.t.Helper()
	dir := s.t.TempDir()
	s.must(os.WriteFile(filepath.Join(dir, "seed.tar.gz"), seed, 0o644))
	dockerfile := "FROM " + s.set.Image + "\nUSER root\nRUN rm /usr/share/agent/seed/*\nCOPY seed.tar.gz /usr/share/agent/seed/\nUSER app\n"
	s.must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	build := docker.Build{Dir: dir, File: "Dockerfile", Tag: s.set.Image + "-" + tag}
	var progress bytes.Buffer
	if err := build.Run(s.t.Context(), &progress); err != nil {
		s.t.Fatalf("%v\n%s", err, progress.String())
	}
	return build.Tag
}
