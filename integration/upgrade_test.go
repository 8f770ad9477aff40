// Package integration_test tells the stories of an operator: real containers, made from Dockerfile.example,
// with a real BEAM in them.
package integration_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	ship.AloneOnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(docker.Hardened(), "-e", "AGENT_SETTLE=2s")...)
		ip, err := s.IP(t.Context())
		s.Must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000"})
		s.Must(err)
		for _, step := range []struct {
			name, version string
			do            func() ship.Answer
		}{
			{"upgrade 1.1.0", images.Second, func() ship.Answer { return s.Upgrade(s.Package(images.Second)) }},
			{"upgrade 1.2.0", images.Third, func() ship.Answer { return s.Upgrade(s.Package(images.Third)) }},
			{"rollback", images.Second, func() ship.Answer { return s.Agent(nil, "rollback") }},
			{"rollback 1.0.0", images.Seed, func() ship.Answer { return s.Agent(nil, "rollback", images.Seed) }},
		} {
			clients.Mark(step.name)
			s.Ends(step.do(), 0)
			s.Serves(step.version)
		}
		report := clients.Stop()
		if !report.Lossless() || report.Sessions.StateKept != 1000 || report.HTTP.Kept != 200 {
			t.Errorf("the clients lost something: %+v", report)
		}
	})
}

func TestConfigurationOfTheNewReleaseTakesEffect(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		before := greeting(s)
		s.Ends(s.Upgrade(s.Package(images.Third)), 0)
		after := greeting(s)
		if before == after {
			t.Errorf("the greeting is still %q", after)
		}
		s.Ends(s.Agent(nil, "rollback"), 0)
		if got := greeting(s); got != before {
			t.Errorf("after the rollback the greeting is %q, was %q", got, before)
		}
	})
}

func greeting(s *ship.Ship) string {
	s.T.Helper()
	ip, err := s.IP(s.T.Context())
	s.Must(err)
	text, err := ship.Get(s.T.Context(), "http://"+ip+":8080/greeting")
	s.Must(err)
	return text
}

func TestRefusalsLeaveEverythingAsItWas(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		good := s.Package(images.Second)
		otherName, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
			name = strings.ReplaceAll(name, "demo.rel", "other.rel")
			if strings.HasSuffix(name, ".rel") {
				content = bytes.Replace(content, []byte(`"demo"`), []byte(`"other"`), 1)
			}
			return name, content
		})
		s.Must(err)
		noRelup, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/relup") {
				return "", nil
			}
			return name, content
		})
		s.Must(err)
		hasRunWell(s)
		before := disk(s)
		node := s.Status().Node
		for _, c := range []struct {
			about, says string
			status      int
			pkg         []byte
		}{
			{"truncated", "ends too early", 3, good[:len(good)*2/3]},
			{"no tarball", "not a tarball", 3, []byte("this is no package at all, it is only some text\n")},
			{"another release", "a release of other, and this volume is of demo", 3, otherName},
			{"no relup", "no relup leads there", 5, noRelup},
			{"a relup from another version", "no relup leads there", 5, s.RelupWith(func(r string) string { return strings.ReplaceAll(r, `"1.0.0"`, `"0.9.0"`) })},
			{"a relup that cannot be read", "relup", 3, s.RelupWith(func(r string) string { return r[:len(r)/2] })},
			{"a module that is missing", "no_such", 3, s.RelupWith(func(r string) string {
				return strings.Replace(r, "{load_object_code,", "{load_object_code,{demo,\"1.1.0\",[no_such]}},{load_object_code,", 1)
			})},
			{"already installed", "is what runs", 3, s.Package(images.Seed)},
		} {
			a := s.Upgrade(c.pkg)
			if a.Status != c.status || !strings.Contains(a.Stderr, c.says) || !strings.Contains(a.Stderr, "demo 1.0.0 still runs, nothing was changed") {
				t.Errorf("%s: exit status %d\n%s", c.about, a.Status, a.Stderr)
			}
			if diff := cmp.Diff(before, disk(s)); diff != "" {
				t.Errorf("%s: the disk changed (-before +after):\n%s", c.about, diff)
			}
		}
		if a := s.Agent(nil, "upgrade", "-"); a.Status != 3 || !strings.Contains(a.Stderr, "standard input is empty") {
			t.Errorf("nothing at all: exit status %d\n%s", a.Status, a.Stderr)
		}
		if now := s.Status().Node; now.PID != node.PID {
			t.Errorf("the node was restarted: pid %d, was %d", now.PID, node.PID)
		}
		s.Ends(s.Upgrade(good), 0)
		s.Serves(images.Second)
	})
}

// disk lists every file of the volume with size, mode and checksum; what tells of attempts is left out.
func disk(s *ship.Ship) []string {
	s.T.Helper()
	out, err := s.Output(s.T.Context(), "sh", "-c", `cd /var/lib/release && find . \( -name history.jsonl -o -name state.json -o -path ./log \) -prune -o -printf '%y %m %p %l\n' | sort &&
		find . -type f ! -name history.jsonl ! -name state.json ! -path './log/*' -exec sha256sum {} + | sort`)
	s.Must(err)
	return strings.Split(out, "\n")
}

func TestABusyAgentSaysWithWhat(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		first := make(chan ship.Answer)
		go func() { first <- s.Upgrade(s.Package(images.Second), "--settle", "1h") }()
		s.AwaitUpgrade("probation")
		second := s.Upgrade(s.Package(images.Third))
		if second.Status != 11 || !strings.Contains(second.Stderr, "from 1.0.0 to 1.1.0 is under way: probation") {
			t.Errorf("exit status %d\n%s", second.Status, second.Stderr)
		}
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Ends(<-first, 4)
	})
}
