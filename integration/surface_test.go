package integration_test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

func TestNothingIsExposed(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		if hidden := s.RPC("erlang", "nodes", "[hidden]"); !regexp.MustCompile(`^\['[^',]+@127\.0\.0\.1'\]$`).MatchString(hidden) {
			t.Errorf("hidden nodes: %s", hidden)
		}
		if visible := s.RPC("erlang", "nodes"); visible != "[]" {
			t.Errorf("visible nodes: %s", visible)
		}
		listensOnLoopbackOnly(s, "8080", "7000")
		keepsItsCookie(s)
	})
}

// listensOnLoopbackOnly looks from outside, as the container has no tools for it.
func listensOnLoopbackOnly(s *ship.Ship, public ...string) {
	s.T.Helper()
	pid, err := s.Inspect(s.T.Context(), "{{.State.Pid}}")
	s.Must(err)
	out, err := exec.CommandContext(s.T.Context(), "nsenter", "-t", pid, "-n", "ss", "-ltnH").Output()
	s.Must(err)
	seen := 0
	for line := range strings.Lines(string(out)) {
		local := strings.Fields(line)[3]
		host, port := local[:strings.LastIndex(local, ":")], local[strings.LastIndex(local, ":")+1:]
		switch {
		case strings.Contains(" "+strings.Join(public, " ")+" ", " "+port+" "):
			seen++
		case port == "4369":
			s.T.Errorf("epmd runs: %s", line)
		case host != "127.0.0.1":
			s.T.Errorf("something listens off loopback: %s", line)
		}
	}
	if seen != len(public) {
		s.T.Errorf("the service's own ports are not among:\n%s", out)
	}
}

func keepsItsCookie(s *ship.Ship) {
	s.T.Helper()
	cookie := strings.Trim(s.RPC("erlang", "get_cookie"), "'")
	if len(cookie) != 64 {
		s.T.Errorf("the cookie is %q", cookie)
	}
	everywhere, err := s.Output(s.T.Context(), "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; find /var/lib/release -type f -exec grep -l "+cookie[:20]+" {} + || true")
	s.Must(err)
	everywhere = strings.ReplaceAll(everywhere, "grep -l "+cookie[:20], "")
	if strings.Contains(everywhere, cookie) || strings.Contains(everywhere, "setcookie") || strings.Contains(everywhere, "/var/lib/release/") && strings.Contains(everywhere, "\n/var/lib/release") {
		s.T.Errorf("the cookie is seen: %s", everywhere)
	}
	mode, err := s.Output(s.T.Context(), "stat", "-c", "%a", "/run/agent/home/.erlang.cookie")
	s.Must(err)
	if mode != "400" {
		s.T.Errorf("the cookie's file has mode %s", mode)
	}
}

func TestTheSocketIsForItsOwnUserAndRoot(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		for user, want := range map[string]int{"1000": 0, "0": 0, "1234": 1} {
			status, err := s.Exec(t.Context(), docker.Exec{Options: []string{"-u", user}, Args: []string{"agent", "status"}})
			s.Must(err)
			if status != want {
				t.Errorf("user %s: exit status %d, want %d", user, status, want)
			}
		}
	})
}

func TestASecondContainerOnTheVolumeIsRefused(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		second, err := s.Session.Start(t.Context(), docker.Spec{Image: set.Image, Name: "second", Options: []string{"-v", s.Volume + ":/var/lib/release"}})
		s.Must(err)
		status, err := second.Wait(t.Context())
		s.Must(err)
		hostname := s.ID[:12]
		if logs := second.Logs(t.Context()); status != 1 || !strings.Contains(logs, hostname) {
			t.Errorf("exit status %d, and the holder %s is not named:\n%s", status, hostname, logs)
		}
		s.Serves(images.Seed)
	})
}
