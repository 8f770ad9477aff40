package integration_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

func TestRestartsBootThePermanentRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		for _, c := range []struct {
			about string
			do    func(context.Context) error
		}{
			{"docker restart", func(ctx context.Context) error { return s.Restart(ctx, ship.Grace) }},
			{"docker kill and start", func(ctx context.Context) error {
				if err := s.Kill(ctx, "KILL"); err != nil {
					return err
				}
				if _, err := s.Wait(ctx); err != nil {
					return err
				}
				return s.Start(ctx)
			}},
			{"a new container on the volume", func(context.Context) error { s.Replace(set.Image); return nil }},
		} {
			s.Must(c.do(t.Context()))
			s.Serves(images.Second)
			if got := s.RPC("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"1.1.0"`) {
				t.Errorf("%s: release_handler has %s", c.about, got)
			}
		}
	})
}

func TestAnUpgradeThatDiesBeforeItsCommitBootsTheOldRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		go s.Exec(t.Context(), docker.Exec{Args: []string{"agent", "upgrade", "--settle", "1h", "-"}, Stdin: strings.NewReader(string(s.Package(images.Second)))})
		s.AwaitEvent("node.installed")
		s.Must(s.Kill(t.Context(), "KILL"))
		_, err := s.Wait(t.Context())
		s.Must(err)
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
		s.Tells("upgrade.reverted")
		mended := s.RelupWith(func(r string) string { return r + "% mended\n" })
		s.Ends(s.Upgrade(mended), 0)
		s.Serves(images.Second)
	})
}

func TestADamagedReleaseIsRestored(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		for _, damage := range []string{
			"printf X | dd of=lib/demo-1.0.0/ebin/demo_api.beam bs=1 seek=100 conv=notrunc",
			"rm releases/1.0.0/start.boot",
			"rm -r lib/demo-1.0.0; for p in .agent/packages/*; do : > $p; done", // the image has the package as well
			": > releases/RELEASES; echo garbage > releases/start_erl.data; echo 15 9.9 > releases/new_start_erl.data",
		} {
			_, err := s.Output(t.Context(), "sh", "-c", "cd /var/lib/release && "+damage)
			s.Must(err)
			s.Must(s.Restart(t.Context(), ship.Grace))
			s.Serves(images.Seed)
		}
		s.Tells("release.restored")
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
	})
}

func TestAnImageWhosePackageCannotBeUsedBootsTheVolume(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		several := filepath.Dir(set.Package(images.Seed))
		for _, options := range [][]string{{"-e", "AGENT_SEED=/etc/passwd"}, {"-e", "AGENT_SEED=/packages", "-v", several + ":/packages:ro"}} {
			s.Options = options
			s.Replace(set.Image)
			s.Serves(images.Seed)
			s.Tells("volume.seed_refused")
		}
	})
}

func TestANodeThatDiesOnProbationIsReverted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		upgraded := make(chan ship.Answer)
		go func() { upgraded <- s.Upgrade(s.Package(images.Second), "--settle", "1h") }()
		s.AwaitEvent("node.installed")
		s.KillNode()
		a := s.Ends(<-upgraded, 4)
		if !strings.Contains(a.Stderr, "the node was restarted, demo 1.0.0 runs again") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Seed)
	})
}

func TestAnInstallationThatFailsBehindThePointOfNoReturnIsReverted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		broken := s.RelupWith(func(r string) string {
			return strings.Replace(r, "point_of_no_return,", "point_of_no_return,{apply,{erlang,error,[boom]}},", 1)
		})
		a := s.Ends(s.Upgrade(broken), 4)
		if !strings.Contains(a.Stderr, "boom") || !strings.Contains(a.Stderr, "demo 1.0.0 runs again") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Seed)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0) // mended, and of the same version
		s.Serves(images.Second)
	})
}

func TestAForgottenModuleIsTakenBackInService(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		node := s.Status().Node
		forgetful := s.RelupWith(func(r string) string {
			return strings.Replace(r, "{load,{demo_api,soft_purge,soft_purge}},", "", 1)
		})
		a := s.Ends(s.Upgrade(forgetful), 4)
		if !strings.Contains(a.Stderr, "demo_api") || !strings.Contains(a.Stderr, "runs again, in service") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Seed)
		if now := s.Status().Node; now.PID != node.PID {
			t.Error("the node was restarted")
		}
	})
}

func TestARollbackWithoutARelupNeedsLeaveToRestart(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		oneWay := s.RelupWith(func(r string) string { return r[:strings.LastIndex(r, `[{"1.0.0"`)] + "[]}.\n" })
		s.Ends(s.Upgrade(oneWay), 0)
		a := s.Ends(s.Agent(nil, "rollback"), 5)
		if !strings.Contains(a.Stderr, "agent rollback --restart 1.0.0") || !strings.Contains(a.Stderr, "nothing was changed") {
			t.Errorf("it says %s", a.Stderr)
		}
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback", "--restart", images.Seed), 0)
		s.Serves(images.Seed)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Seed)
	})
}

func TestTheContainerEndsWithTheNode(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		for _, c := range []struct {
			about  string
			do     func(s *ship.Ship)
			status int
		}{
			{"docker stop", func(s *ship.Ship) { s.Must(s.Stop(t.Context(), ship.Grace)) }, 0},
			{"agent stop", func(s *ship.Ship) { s.EndsIt(s.Agent(nil, "stop")) }, 0},
			{"INT", func(s *ship.Ship) { s.Must(s.Kill(t.Context(), "INT")) }, 0},
			{"halt(7) in the node", func(s *ship.Ship) { s.Agent(nil, "rpc", "erlang", "halt", "[7]") }, 7},
			{"kill -9 of the node", func(s *ship.Ship) { s.KillNode() }, 137},
		} {
			s := ship.Launch(t, set)
			c.do(s)
			status, err := s.Wait(t.Context())
			s.Must(err)
			if status != c.status {
				t.Errorf("%s: exit status %d, want %d\n%s", c.about, status, c.status, s.Logs(t.Context()))
			}
		}
	})
}

func TestARebuiltImageWithTheSameReleaseChangesNothing(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Replace(s.ImageWith("rebuilt", func(name string, content []byte) (string, []byte) { return name, content }))
		s.Serves(images.Second)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Second)
	})
}

func TestANewImageBootsItsOwnRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Replace(s.ImageOf("newer", s.Package(images.Third)))
		s.Serves(images.Third)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Third)
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Serves(images.Second)
	})
}
