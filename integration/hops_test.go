package integration_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// thirdFromSecondAlone is the package of 1.2.0 with a relup from and to 1.1.0 alone.
func thirdFromSecondAlone(s *ship.Ship) []byte {
	s.T.Helper()
	pkg, err := repack.Bytes(s.Package(images.Third), repack.RelupFrom(images.Second))
	s.Must(err)
	return pkg
}

func TestAnUpgradeOverAnotherReleaseUnderLoadLosesNothing(t *testing.T) {
	ship.Alone(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(docker.Hardened(), "-e", "AGENT_SETTLE=2s")...)
		pkg := thirdFromSecondAlone(s)
		if a := s.Ends(s.Upgrade(pkg), 5); !strings.Contains(a.Stderr, "(it has them from 1.1.0), unpack a release between the two") {
			t.Errorf("without the release between it says %s", a.Stderr)
		}
		s.Ends(s.Agent(bytes.NewReader(s.Package(images.Second)), "unpack", "-"), 0)
		s.Serves(images.Seed)
		node := s.Status().Node.PID
		ip, err := s.IP(t.Context())
		s.Must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000"})
		s.Must(err)

		clients.Mark("upgrade over 1.1.0")
		a := s.Ends(s.Upgrade(pkg), 0)
		s.Serves(images.Third)
		if !strings.Contains(a.Stderr, "demo 1.0.0 to 1.1.0 to 1.2.0 in service") || !strings.Contains(a.Stdout, "(was 1.0.0, over 1.1.0)") {
			t.Errorf("it says %s%s", a.Stderr, a.Stdout)
		}
		clients.Mark("rollback over 1.1.0")
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Serves(images.Seed)
		report := clients.Stop()
		if !report.Lossless() || report.Sessions.StateKept != 1000 || report.HTTP.Kept != 200 {
			t.Errorf("the clients lost something: %+v", report)
		}
		if got := installed(s); !slices.Equal(got, []string{images.Second, images.Third, images.Second, images.Seed}) {
			t.Errorf("installed were %v", got)
		}
		if got := s.Status(); got.Node.PID != node || got.Node.Restarts.Count != 0 || got.Volume.Current != images.Seed {
			t.Errorf("the status is %+v", got)
		}
	})
}

func installed(s *ship.Ship) (versions []string) {
	s.T.Helper()
	for _, e := range s.History() {
		if e.Kind == "node.installed" {
			version, _ := e.Attrs["version"].(string)
			versions = append(versions, version)
		}
	}
	return versions
}

// TestAHopThatFailsEndsWhereTheUpgradeBegan: the first one in service, when the second is refused; by a restart, when its code
// change fails.
func TestAHopThatFailsEndsWhereTheUpgradeBegan(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Ends(s.Agent(bytes.NewReader(s.Package(images.Second)), "unpack", "-"), 0)
		node := s.Status().Node.PID
		good := thirdFromSecondAlone(s)
		for about, c := range map[string]struct {
			old, replaced, says string
		}{
			"refused":         {"{load_object_code,", `{load_object_code,{demo,"1.2.0",[no_such]}},{load_object_code,`, "demo 1.0.0 runs again, in service"},
			"its code change": {"point_of_no_return,", "point_of_no_return,{apply,{erlang,error,[oops]}},", "the node was restarted, demo 1.0.0 runs again"},
		} {
			pkg, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
				if strings.HasSuffix(name, "/relup") {
					content = bytes.Replace(content, []byte(c.old), []byte(c.replaced), 1)
				}
				return name, content
			})
			s.Must(err)
			if a := s.Ends(s.Upgrade(pkg), 4); !strings.Contains(a.Stderr, c.says) {
				t.Errorf("%s: it says %s", about, a.Stderr)
			}
			s.Serves(images.Seed)
			if same := s.Status().Node.PID == node; same != strings.HasSuffix(c.says, "in service") {
				t.Errorf("%s: the node is the same: %v", about, same)
			}
			node = s.Status().Node.PID
		}
		s.Ends(s.Upgrade(good), 0)
		s.Serves(images.Third)
	})
}

func TestAProbationIsEndedByAPerson(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		node := s.Status().Node.PID
		wait := func() {
			t.Helper()
			a := s.Ends(s.Upgrade(s.Package(images.Second), "--no-commit"), 0)
			if !strings.Contains(a.Stdout, "demo 1.1.0 runs and is not permanent (was 1.0.0)") || !strings.Contains(a.Stderr, "agent rollback takes it back") {
				t.Errorf("it says %s%s", a.Stdout, a.Stderr)
			}
			s.Serves(images.Second)
		}
		boots := func(version string) {
			t.Helper()
			if got := s.Status(); got.Volume.Current != version || got.Upgrade != nil {
				t.Errorf("%s boots, under way is %+v", got.Volume.Current, got.Upgrade)
			}
		}

		wait()
		if got := s.Status(); got.Volume.Current != images.Seed || got.Volume.Previous != images.Seed || got.Upgrade == nil || !got.Upgrade.Waits() {
			t.Errorf("the status is %+v", got)
		}
		busy := s.Ends(s.Upgrade(s.Package(images.Third)), 11)
		if !strings.Contains(busy.Stderr, "1.1.0 is on probation") || !strings.Contains(busy.Stderr, "agent commit makes 1.1.0 permanent, agent rollback takes it back to 1.0.0") {
			t.Errorf("another upgrade is told %s", busy.Stderr)
		}
		s.Ends(s.Agent(nil, "commit", "9.9.9"), 3)
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Serves(images.Seed)
		boots(images.Seed)
		s.Ends(s.Agent(nil, "commit"), 3)

		s.Ends(s.Upgrade(s.Package(images.Second), "--no-commit", "--commit-within", "1s"), 0)
		s.AwaitEvent("upgrade.failed")
		s.AwaitUpgrade("")
		s.Serves(images.Seed)
		if got := s.Status().Node.PID; got != node {
			t.Error("the node was restarted")
		}

		wait()
		s.KillNode()
		s.AwaitUpgrade("")
		s.Serves(images.Seed)
		boots(images.Seed)

		wait()
		s.Replace(set.Image) // as a container that is killed
		s.Serves(images.Seed)
		boots(images.Seed)
		want := []api.Outcome{api.Probation, api.Reverted, api.Probation, api.Reverted, api.Probation, api.Reverted, api.Probation, api.Reverted}
		if diff := cmp.Diff(want, outcomes(s)); diff != "" {
			t.Errorf("the history has other outcomes (-want +got):\n%s", diff)
		}

		wait()
		s.Ends(s.Agent(nil, "commit", images.Second), 0)
		boots(images.Second)
		s.Replace(set.Image)
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Serves(images.Seed)
	})
}

// outcomes are how attempts have ended, or begun to wait.
func outcomes(s *ship.Ship) (list []api.Outcome) {
	s.T.Helper()
	for _, e := range s.History() {
		if e.Result != nil {
			list = append(list, e.Result.Outcome)
		}
	}
	return list
}
