package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// unbootable is 1.1.0 as the next boot dies of it: an upgrade in service reads no port from its configuration.
func unbootable(s *ship.Ship) []byte {
	s.T.Helper()
	pkg, err := repack.Bytes(s.Package(images.Second), func(name string, content []byte) (string, []byte) {
		if strings.HasSuffix(name, "1.1.0/sys.config") {
			content = []byte("[{demo,[{http_port,bad}]}].\n")
		}
		return name, content
	})
	s.Must(err)
	return pkg
}

// dies waits for the end of the container, and says how it ended.
func dies(s *ship.Ship) int {
	s.T.Helper()
	status, err := s.Wait(s.T.Context())
	s.Must(err)
	return status
}

func TestAReleaseThatNeverBootsGivesWayToTheOneBefore(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_BOOT_SPAN=0s")
		s.Ends(s.Upgrade(unbootable(s)), 0)
		s.Serves(images.Second)
		s.Must(s.Stop(t.Context(), ship.Grace))
		for n := range 3 {
			s.Must(s.Start(t.Context()))
			if n == 1 { // which counts as well, and may come too late
				s.Must(s.Await(t.Context(), "the second boot", ship.Patience, boots(s, images.Second, 2)))
				_ = s.Kill(t.Context(), "KILL")
			}
			if status := dies(s); status == 0 {
				t.Errorf("boot %d ended well", n+1)
			}
		}
		s.Must(s.Start(t.Context()))
		s.Serves(images.Seed)
		s.Tells("release.quarantined")
		inQuarantine(s)

		// Nothing boots it again: no start, no rollback, no image that is the same.
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Seed)
		if a := s.Ends(s.Agent(nil, "rollback"), 3); !strings.Contains(a.Stderr, "no release before") {
			t.Errorf("a rollback says %s", a.Stderr)
		}
		inQuarantine(s)

		// What was mended is another package of the same version.
		s.Ends(s.Upgrade(s.Package(images.Second)), 3)
		s.Ends(s.Agent(nil, "remove", images.Second), 0)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Second)
	})
}

// boots says that a version was launched so often.
func boots(s *ship.Ship, version string, times int) func(context.Context) error {
	return func(ctx context.Context) error {
		if n := strings.Count(s.Logs(ctx), "demo "+version+" boots as"); n < times {
			return fmt.Errorf("%s was booted %d times", version, n)
		}
		return nil
	}
}

// inQuarantine fails the story unless everybody is told of it.
func inQuarantine(s *ship.Ship) {
	s.T.Helper()
	status := s.Status()
	if len(status.Quarantined) != 1 || status.Quarantined[0].Version != images.Second || status.Quarantined[0].Quarantined.IsZero() || status.Volume.Previous != "" {
		s.T.Errorf("the status has %+v", status)
	}
	for verb, want := range map[string]string{"status": "demo 1.1.0 was booted 3 times and never ran well", "releases": "old, quarantined"} {
		if a := s.Ends(s.Agent(nil, verb), 0); !strings.Contains(a.Stdout, want) {
			s.T.Errorf("%s says\n%s", verb, a.Stdout)
		}
	}
}

// TestTheRestartPolicyLeadsOutOfAReleaseThatNeverBoots without a start of the container.
func TestTheRestartPolicyLeadsOutOfAReleaseThatNeverBoots(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms", "-e", "AGENT_BOOT_ATTEMPTS=2", "-e", "AGENT_BOOT_SPAN=0s")
		s.Ends(s.Upgrade(unbootable(s)), 0)
		s.KillNode()
		s.AwaitEvent("release.quarantined")
		s.Serves(images.Seed)
		if got := s.Status(); got.Boot.Version != images.Seed || got.Node.Restarts.Count != 3 {
			t.Errorf("the status is %+v", got)
		}
		// Asked for, it is tried again: its relup leads there still.
		s.Ends(s.Agent(nil, "rollback", images.Second), 0)
		s.Serves(images.Second)
		if got := s.Status().Quarantined; len(got) != 0 {
			t.Errorf("in quarantine is %+v", got)
		}
	})
}

// TestAnImageThatNeverBootsGivesWayToWhatIsOnTheVolume also where the policy is to boot the image's package.
func TestAnImageThatNeverBootsGivesWayToWhatIsOnTheVolume(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms", "-e", "AGENT_BOOT_ATTEMPTS=2", "-e", "AGENT_BOOT_SPAN=0s", "-e", "AGENT_SEED_POLICY=image")
		image := s.ImageOf("unbootable", unbootable(s))
		s.Replace(image)
		s.Serves(images.Seed)
		s.Tells("release.quarantined")
		for range 2 {
			s.Must(s.Restart(t.Context(), ship.Grace))
			s.Serves(images.Seed)
			if got := s.Status(); !strings.Contains(got.Boot.Reason, "the image's package is in quarantine: demo 1.1.0 was booted 2 times") {
				t.Errorf("the status is %+v", got)
			}
		}
	})
}

// TestWhatHasRunWellIsNeverGivenUp whatever becomes of it later.
func TestWhatHasRunWellIsNeverGivenUp(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_BOOT_ATTEMPTS=1", "-e", "AGENT_BOOT_SPAN=0s", "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms")
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Second)
		hasRunWell(s)
		for range 2 {
			before := s.Status().Node.PID
			s.KillNode()
			s.Must(s.Await(t.Context(), "another node", ship.Patience, another(s, before)))
			s.Serves(images.Second)
		}
	})
}

// hasRunWell waits until what boots has run well once. Nothing writes to the volume then that was not asked for.
func hasRunWell(s *ship.Ship) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "that it has run well", ship.Patience, func(ctx context.Context) error {
		state, err := s.Output(ctx, "cat", "/var/lib/release/.agent/state.json")
		if err == nil && strings.Contains(state, `"unproven"`) {
			err = errors.New("it is unproven")
		}
		return err
	}))
}

// another says that the node has a pid other than before.
func another(s *ship.Ship, before int) func(context.Context) error {
	return func(context.Context) error {
		if n := s.Status().Node; n.PID == before || n.State != api.NodeRunning {
			return fmt.Errorf("the node is %+v", n)
		}
		return nil
	}
}

// TestAnImageWithAnOlderReleaseBootsItUnlessThePolicySaysOtherwise: an image that is new to the volume was rolled out on
// purpose, whatever the number of its release.
func TestAnImageWithAnOlderReleaseBootsItUnlessThePolicySaysOtherwise(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		s.Replace(s.ImageOf("older-second", s.Package(images.Second)))
		s.Serves(images.Second)
		plain := s.Options
		s.Options = append(plain, "-e", "AGENT_SEED_POLICY=volume")
		s.Replace(set.Image)
		s.Serves(images.Second)
		s.Options = plain
		s.Replace(set.Image)
		s.Serves(images.Seed)
		if got := s.Status(); got.Volume.Previous != images.Second || !strings.Contains(got.Boot.Reason, "has not seen") {
			t.Errorf("the status is %+v", got)
		}
		s.Replace(s.Set.Image + "-older-second") // which it has seen
		s.Serves(images.Seed)
	})
}

func TestAVolumeOfANewerAgentIsLeftAlone(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		hasRunWell(s)
		var file struct{ State json.RawMessage }
		const path = "/var/lib/release/.agent/state.json"
		text, err := s.Output(t.Context(), "cat", path)
		s.Must(err)
		s.Must(json.Unmarshal([]byte(text), &file))
		newer := strings.Replace(string(file.State), `"schema":`, `"schema":9`, 1)
		sum := sha256.Sum256([]byte(newer))
		newer = `{"sha256":"` + hex.EncodeToString(sum[:]) + `","state":` + newer + "}\n"
		_, err = s.Exec(t.Context(), docker.Exec{Args: []string{"sh", "-c", "cat > " + path}, Stdin: strings.NewReader(newer)})
		s.Must(err)
		s.Must(s.Restart(t.Context(), ship.Grace))
		status := dies(s)
		logs := s.Logs(t.Context())
		if status != 1 || !strings.Contains(logs, "written by a newer agent: its schema is 9") || !strings.Contains(logs, "start the newer image again") {
			t.Errorf("exit status %d\n%s", status, logs)
		}
		look, err := s.Session.Start(t.Context(), docker.Spec{
			Image: set.Image, Name: "look", Options: []string{"-v", s.Volume + ":/var/lib/release", "--entrypoint", "cat"}, Command: []string{path},
		})
		s.Must(err)
		_, err = look.Wait(t.Context())
		s.Must(err)
		if kept := look.Logs(t.Context()); kept != newer {
			t.Errorf("the state is now %s", kept)
		}
	})
}

// TestAReleaseWithoutItsERTSDoesNotBootAndSaysWhich: the image has another OTP, or none.
func TestAReleaseWithoutItsERTSDoesNotBootAndSaysWhich(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		erts := s.RPC("erlang", "system_info", "[version]")
		foreign, err := repack.Bytes(s.Package(images.Second), func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, ".rel") {
				content = bytes.Replace(content, []byte(strings.Trim(erts, `"`)), []byte("99.9"), 1)
			}
			return name, content
		})
		s.Must(err)
		if a := s.Ends(s.Upgrade(foreign, "--restart"), 3); !strings.Contains(a.Stderr, "erts-99.9") || !strings.Contains(a.Stderr, "nothing was changed") {
			t.Errorf("an upgrade says %s", a.Stderr)
		}
		s.Replace(s.ImageOf("foreign", foreign))
		s.Serves(images.Seed)
		s.Tells("volume.seed_refused")

		s.Replace(withoutOTP(s))
		status := dies(s)
		if logs := s.Logs(t.Context()); status != 1 || !strings.Contains(logs, "cannot boot 1.0.0") || !strings.Contains(logs, "erts-"+strings.Trim(erts, `"`)) {
			t.Errorf("exit status %d\n%s", status, logs)
		}
		s.Replace(set.Image)
		s.Serves(images.Seed)
	})
}

// withoutOTP is the ship's image with its OTP taken away.
func withoutOTP(s *ship.Ship) string {
	s.T.Helper()
	dir := s.T.TempDir()
	dockerfile := "FROM " + s.Set.Image + "\nUSER root\nRUN root=$(erl -noinput -eval 'io:put_chars(code:root_dir()), halt().') && rm -r \"$root\" && rm -f \"$(command -v erl)\"\nUSER app\n"
	s.Must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	var progress bytes.Buffer
	build := docker.Build{Dir: dir, File: "Dockerfile", Tag: s.Set.Image + "-bare"}
	if err := build.Run(s.T.Context(), &progress); err != nil {
		s.T.Fatalf("%v\n%s", err, progress.String())
	}
	return build.Tag
}
