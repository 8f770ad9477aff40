package integration_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
)

func TestNothingIsExposed(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set, docker.Hardened()...)
		if hidden := s.rpc("erlang", "nodes", "[hidden]"); !regexp.MustCompile(`^\['[^',]+@127\.0\.0\.1'\]$`).MatchString(hidden) {
			t.Errorf("hidden nodes: %s", hidden)
		}
		if visible := s.rpc("erlang", "nodes"); visible != "[]" {
			t.Errorf("visible nodes: %s", visible)
		}
		s.listensOnLoopbackOnly("8080", "7000")
		s.keepsItsCookie()
	})
}

// listensOnLoopbackOnly looks from outside, as the container has no tools for it.
func (s *ship) listensOnLoopbackOnly(public ...string) {
	s.t.Helper()
	pid, err := s.Inspect(s.t.Context(), "{{.State.Pid}}")
	s.must(err)
	out, err := exec.CommandContext(s.t.Context(), "nsenter", "-t", pid, "-n", "ss", "-ltnH").Output()
	s.must(err)
	seen := 0
	for line := range strings.Lines(string(out)) {
		local := strings.Fields(line)[3]
		host, port := local[:strings.LastIndex(local, ":")], local[strings.LastIndex(local, ":")+1:]
		switch {
		case strings.Contains(" "+strings.Join(public, " ")+" ", " "+port+" "):
			seen++
		case port == "4369":
			s.t.Errorf("epmd runs: %s", line)
		case host != "127.0.0.1":
			s.t.Errorf("something listens off loopback: %s", line)
		}
	}
	if seen != len(public) {
		s.t.Errorf("the service's own ports are not among:\n%s", out)
	}
}

func (s *ship) keepsItsCookie() {
	s.t.Helper()
	cookie := strings.Trim(s.rpc("erlang", "get_cookie"), "'")
	if len(cookie) != 64 {
		s.t.Errorf("the cookie is %q", cookie)
	}
	everywhere, err := s.Output(s.t.Context(), "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; find /var/lib/release -type f -exec grep -l "+cookie[:20]+" {} + || true")
	s.must(err)
	everywhere = strings.ReplaceAll(everywhere, "grep -l "+cookie[:20], "")
	if strings.Contains(everywhere, cookie) || strings.Contains(everywhere, "setcookie") || strings.Contains(everywhere, "/var/lib/release/") && strings.Contains(everywhere, "\n/var/lib/release") {
		s.t.Errorf("the cookie is seen: %s", everywhere)
	}
	mode, err := s.Output(s.t.Context(), "stat", "-c", "%a", "/run/agent/home/.erlang.cookie")
	s.must(err)
	if mode != "400" {
		s.t.Errorf("the cookie's file has mode %s", mode)
	}
}

func TestTheSocketIsForItsOwnUserAndRoot(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set, docker.Hardened()...)
		for user, want := range map[string]int{"1000": 0, "0": 0, "1234": 1} {
			status, err := s.Exec(t.Context(), docker.Exec{Options: []string{"-u", user}, Args: []string{"agent", "status"}})
			s.must(err)
			if status != want {
				t.Errorf("user %s: exit status %d, want %d", user, status, want)
			}
		}
	})
}

func TestASecondContainerOnTheVolumeIsRefused(t *testing.T) {
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		s := launch(t, set)
		second, err := s.session.Start(t.Context(), docker.Spec{Image: set.Image, Name: "second", Options: []string{"-v", s.volume + ":/var/lib/release"}})
		s.must(err)
		status, err := second.Wait(t.Context())
		s.must(err)
		hostname := s.ID[:12]
		if logs := second.Logs(t.Context()); status != 1 || !strings.Contains(logs, hostname) {
			t.Errorf("exit status %d, and the holder %s is not named:\n%s", status, hostname, logs)
		}
		s.serves(images.Seed)
	})
}
