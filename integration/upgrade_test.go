package integration_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/repack"
)

func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	aloneOnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set, append(docker.Hardened(), "-e", "AGENT_SETTLE=2s")...)
		ip, err := s.IP(t.Context())
		s.must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000"})
		s.must(err)
		for _, step := range []struct {
			name, version string
			do            func() answer
		}{
			{"upgrade 1.1.0", images.Second, func() answer { return s.upgrade(s.pkg(images.Second)) }},
			{"upgrade 1.2.0", images.Third, func() answer { return s.upgrade(s.pkg(images.Third)) }},
			{"rollback", images.Second, func() answer { return s.agent(nil, "rollback") }},
			{"rollback 1.0.0", images.Seed, func() answer { return s.agent(nil, "rollback", images.Seed) }},
		} {
			clients.Mark(step.name)
			s.ends(step.do(), 0)
			s.serves(step.version)
		}
		report := clients.Stop()
		if !report.Lossless() || report.Sessions.StateKept != 1000 || report.HTTP.Kept != 200 {
			t.Errorf("the clients lost something: %+v", report)
		}
	})
}

func TestConfigurationOfTheNewReleaseTakesEffect(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		s.ends(s.upgrade(s.pkg(images.Second)), 0)
		before := s.greeting()
		s.ends(s.upgrade(s.pkg(images.Third)), 0)
		after := s.greeting()
		if before == after {
			t.Errorf("the greeting is still %q", after)
		}
		s.ends(s.agent(nil, "rollback"), 0)
		if got := s.greeting(); got != before {
			t.Errorf("after the rollback the greeting is %q, was %q", got, before)
		}
	})
}

func (s *ship) greeting() string {
	s.t.Helper()
	ip, err := s.IP(s.t.Context())
	s.must(err)
	text, err := get(s.t.Context(), "http://"+ip+":8080/greeting")
	s.must(err)
	return text
}

// relupWith makes a package of 1.1.0 whose relup was edited.
func (s *ship) relupWith(edit func(relup string) string) []byte {
	s.t.Helper()
	pkg, err := repack.Bytes(s.pkg(images.Second), func(name string, content []byte) (string, []byte) {
		if strings.HasSuffix(name, "/relup") {
			return name, []byte(edit(string(content)))
		}
		return name, content
	})
	s.must(err)
	return pkg
}

func TestRefusalsLeaveEverythingAsItWas(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		good := s.pkg(images.Second)
		otherName, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
			name = strings.ReplaceAll(name, "demo.rel", "other.rel")
			if strings.HasSuffix(name, ".rel") {
				content = bytes.Replace(content, []byte(`"demo"`), []byte(`"other"`), 1)
			}
			return name, content
		})
		s.must(err)
		noRelup, err := repack.Bytes(good, func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/relup") {
				return "", nil
			}
			return name, content
		})
		s.must(err)
		before := s.disk()
		node := s.status().Node
		for _, c := range []struct {
			about, says string
			pkg         []byte
		}{
			{"truncated", "ends too early", good[:len(good)*2/3]},
			{"no tarball", "not a tarball", []byte("this is no package at all, it is only some text\n")},
			{"another release", "a release of other, and this volume is of demo", otherName},
			{"no relup", "relup", noRelup},
			{"a relup from another version", "relup", s.relupWith(func(r string) string { return strings.ReplaceAll(r, `"1.0.0"`, `"0.9.0"`) })},
			{"a relup that cannot be read", "relup", s.relupWith(func(r string) string { return r[:len(r)/2] })},
			{"a module that is missing", "no_such", s.relupWith(func(r string) string {
				return strings.Replace(r, "{load_object_code,", "{load_object_code,{demo,\"1.1.0\",[no_such]}},{load_object_code,", 1)
			})},
			{"already installed", "is what runs", s.pkg(images.Seed)},
		} {
			a := s.upgrade(c.pkg)
			if a.status != 3 || !strings.Contains(a.stderr, c.says) || !strings.Contains(a.stderr, "demo 1.0.0 still runs, nothing was changed") {
				t.Errorf("%s: exit status %d\n%s", c.about, a.status, a.stderr)
			}
			if diff := cmp.Diff(before, s.disk()); diff != "" {
				t.Errorf("%s: the disk changed (-before +after):\n%s", c.about, diff)
			}
		}
		if a := s.agent(nil, "upgrade", "-"); a.status != 3 || !strings.Contains(a.stderr, "standard input is empty") {
			t.Errorf("nothing at all: exit status %d\n%s", a.status, a.stderr)
		}
		if now := s.status().Node; now.PID != node.PID {
			t.Errorf("the node was restarted: pid %d, was %d", now.PID, node.PID)
		}
		s.ends(s.upgrade(good), 0)
		s.serves(images.Second)
	})
}

// disk lists every file of the volume with size, mode and checksum; what tells of attempts is left out.
func (s *ship) disk() []string {
	s.t.Helper()
	out, err := s.Output(s.t.Context(), "sh", "-c", `cd /var/lib/release && find . \( -name history.jsonl -o -name state.json -o -path ./log \) -prune -o -printf '%y %m %p %l\n' | sort &&
		find . -type f ! -name history.jsonl ! -name state.json ! -path './log/*' -exec sha256sum {} + | sort`)
	s.must(err)
	return strings.Split(out, "\n")
}

func TestABusyAgentSaysWithWhat(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		first := make(chan answer)
		go func() { first <- s.upgrade(s.pkg(images.Second), "--settle", "5s") }()
		s.awaitEvent("node.installed")
		second := s.upgrade(s.pkg(images.Third))
		if second.status != 11 || !strings.Contains(second.stderr, "from 1.0.0 to 1.1.0 is probation") {
			t.Errorf("exit status %d\n%s", second.status, second.stderr)
		}
		s.ends(<-first, 0)
	})
}

// awaitEvent waits until the history tells of it.
func (s *ship) awaitEvent(kind string) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		for _, e := range s.history() {
			if e.Kind == kind {
				return
			}
		}
	}
	s.t.Fatalf("no event %s within %s\n%s", kind, patience, s.Logs(s.t.Context()))
}
