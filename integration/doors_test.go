package integration_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// asks are the verbs that ask the agent, with what they need; the others do not.
var (
	asks = map[string]string{
		"upgrade": "upgrade /usr/share/agent/seed/demo-1.0.0.tar.gz", "rollback": "rollback", "unpack": "unpack /usr/share/agent/seed/demo-1.0.0.tar.gz", "install": "install 1.0.0", "commit": "commit", "status": "status", "releases": "releases",
		"history": "history", "remove": "remove 1.0.0", "plan": "plan /usr/share/agent/seed/demo-1.0.0.tar.gz", "rpc": "rpc erlang node", "eval": "eval 'node().'", "remote": "remote", "stop": "stop", "health": "health", "gate": "gate check",
	}
	alone = []string{"run", "verify", "relup", "rehearse", "plugin", "version", "help"}
)

// verbs are what agent --help lists. One that is new must be put into one of the two.
func verbs(s *ship.Ship) []string {
	s.T.Helper()
	_, list, _ := strings.Cut(s.Ends(s.Agent(nil, "--help"), 0).Stdout, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var verbs []string
	for line := range strings.Lines(list) {
		verb := strings.Fields(line)[0]
		if slices.Contains(alone, verb) {
			continue
		}
		if asks[verb] == "" {
			s.T.Errorf("nobody tries whom %s lets in", verb)
		}
		verbs = append(verbs, verb)
	}
	if want := slices.Sorted(maps.Keys(asks)); len(verbs) != len(want) {
		s.T.Errorf("the verbs are %v, not %v", verbs, want)
	}
	return verbs
}

// TestNoVerbIsForStrangers: another user of the container, the same user and root in another container to which the socket is mounted,
// and a stranger in one that shares the PID namespace.
func TestNoVerbIsForStrangers(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		run, err := s.Session.Volume(t.Context(), "run")
		s.Must(err)
		shared := []string{"-v", run + ":/run/agent"}
		s.Options = append(append(docker.Hardened(), "--tmpfs", "/run/more"), shared...)
		s.Replace(set.Image)
		s.Serves(images.Seed)
		beside := func(name, user string, options ...string) *docker.Container {
			c, err := s.Session.Start(t.Context(), docker.Spec{
				Image: set.Image, Name: name, Command: []string{"infinity"},
				Options: append(append([]string{"--entrypoint", "sleep", "-u", user}, shared...), options...),
			})
			s.Must(err)
			return c
		}
		var script strings.Builder
		all := verbs(s)
		for _, verb := range all {
			script.WriteString("agent " + asks[verb] + " 2>&1 </dev/null; echo " + verb + " ended with $?\n")
		}
		for about, c := range map[string]struct {
			in   *docker.Container
			user string
			says string
		}{
			"another user":                      {s.Container, "1234", "uid 1234 may not use this agent"},
			"the same user elsewhere":           {beside("same", "1000"), "1000", "the request comes from another PID namespace"},
			"root elsewhere":                    {beside("root", "0"), "0", "the request comes from another PID namespace"},
			"another user in the PID namespace": {beside("pid", "1234", "--pid", "container:"+s.ID), "1234", "uid 1234 may not use this agent"},
		} {
			var out strings.Builder
			_, err := c.in.Exec(t.Context(), docker.Exec{Options: []string{"-u", c.user}, Args: []string{"sh", "-c", script.String()}, Stdout: &out})
			s.Must(err)
			for _, verb := range all {
				if !strings.Contains(out.String(), verb+" ended with 1\n") {
					t.Errorf("%s: %s was not refused", about, verb)
				}
			}
			if n := strings.Count(out.String(), "cannot answer: "+c.says); n != len(all) {
				t.Errorf("%s: %d of %d verbs say why:\n%s", about, n, len(all), out.String())
			}
		}
		// What shares the PID namespace and is of the same user may: it could as well trace the agent.
		status, err := beside("kin", "1000", "--pid", "container:"+s.ID).Exec(t.Context(), docker.Exec{Args: []string{"agent", "status"}})
		if err != nil || status != 0 {
			t.Errorf("the same user in the PID namespace: exit status %d, %v", status, err)
		}
		s.Serves(images.Seed)
	})
}

// Secrets of the story.
const (
	knownCookie   = "TheCookieThatTheStoryKnows"
	knownPassword = "ThePasswordThatTheStoryKnows"
	knownArgument = "TheArgumentThatTheStoryKnows"
)

func TestSecretsStayWhereTheyWerePut(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, append(docker.Hardened(), "-v", homeWith(t, knownCookie)+":/secret:ro", "-e", "HOME=/secret",
			"-e", "DEMO_PASSWORD="+knownPassword, "-e", "AGENT_RESTART=on-failure", "-e", "AGENT_RESTART_DELAY=1ms")...)
		if got := s.RPC("erlang", "get_cookie"); got != "'"+knownCookie+"'" {
			t.Fatalf("the cookie is %s", got)
		}
		if got := s.RPC("os", "getenv", `["DEMO_PASSWORD"]`); got != `"`+knownPassword+`"` {
			t.Fatalf("the node's password is %s", got)
		}
		s.RPC("application", "set_env", `[demo, password, "`+knownArgument+`"]`)
		s.Agent(nil, "rpc", "erlang", "error", `["`+knownArgument+`"]`)
		s.Agent(nil, "eval", `"`+knownArgument+`".`)
		s.Agent(nil, "eval", `error("`+knownArgument+`").`)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		before := s.Status().Node.PID
		s.Must(s.Kill(t.Context(), "USR1"))
		s.Must(s.Await(t.Context(), "another node", ship.Patience, another(s, before)))
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback"), 0)

		read := func(script string) string {
			text, err := s.Output(t.Context(), "sh", "-c", script)
			s.Must(err)
			return text
		}
		places := map[string]string{
			"the command lines":               read("cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
			"the log":                         s.Logs(t.Context()),
			"the history":                     s.Ends(s.Agent(nil, "history", "-n", "0", "--json"), 0).Stdout,
			"the volume, but its crash dumps": read("find /var/lib/release -type f ! -path '*/log/*' ! -name '*.gz' -exec cat {} +"),
			"the status":                      s.Ends(s.Agent(nil, "status", "--json"), 0).Stdout,
		}
		for place, text := range places {
			if found := regexp.MustCompile(knownCookie + "|" + knownPassword + "|" + knownArgument).FindString(text); found != "" || text == "" {
				t.Errorf("%s have %q", place, found)
			}
		}
		// A container's environment is the node's by purpose; the cookie is in nobody's.
		if environ := read("cat /proc/[0-9]*/environ | tr '\\0' '\\n'"); strings.Contains(environ, knownCookie) || !strings.Contains(environ, knownPassword) {
			t.Errorf("the environments have it:\n%s", environ)
		}
		// A crash dump has all that the node knew.
		if open := read("ls /var/lib/release/log/*.dump && find /var/lib/release/log -name '*.dump' -perm /007"); strings.Count(open, "\n") != 0 {
			t.Errorf("everybody may read a crash dump:\n%s", open)
		}
	})
}

// homeWith is a directory with a cookie of the user 1000 alone.
func homeWith(t *testing.T, cookie string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, ".erlang.cookie")
	err := os.WriteFile(path, []byte(cookie), 0o400)
	if err == nil {
		err = os.Chown(path, 1000, 1000)
	}
	for up := dir; err == nil && up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		err = os.Chmod(up, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
