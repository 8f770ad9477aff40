package integration_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"theseus/agent/family"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// templates are what a release of the demo service leaves open.
func templates(version string) map[string]string {
	return map[string]string{
		"sys.config.src": "%% of ${RELEASE_NAME} ${RELEASE_VSN}\n" +
			`[{demo,[{http_port,${HTTP_PORT}},{session_port,${SESSION_PORT:-7000}},{greeting,"${GREETING}, from ` + version + `"}]}].` + "\n",
		"vm.args.src": "-name ${NODE}\n-setcookie ${COOKIE:-oatmeal}\n-env FILLED ${GREETING}\n",
	}
}

// open is the node's environment, and poison what somebody brings who asks the agent for something.
var (
	open   = []string{"-e", "HTTP_PORT=8080", "-e", "GREETING=${WORD}", "-e", "WORD=ahoy", "-e", "NODE=demo@127.0.0.1"}
	poison = []string{
		"-e", "HTTP_PORT=1", "-e", "GREETING=poison", "-e", "WORD=poison", "-e", "NODE=poison@127.0.0.1", "-e", "SESSION_PORT=1", "-e", "COOKIE=poison",
		"-e", "RELEASE_VSN=0.0.0", "-e", "RELEASE_NAME=poison", "-e", "ERL_FLAGS=-poison", "-e", "RELX_COOKIE=poison", "-e", "ERL_DIST_PORT=1",
	}
)

// filledIn fails the story unless the node has the configuration of its own environment, in a file and in service.
func filledIn(s *ship.Ship, version string) {
	s.T.Helper()
	s.Serves(version)
	want := map[string]string{
		"http_port": "{ok,8080}", "session_port": "{ok,7000}", "greeting": `{ok,"ahoy, from ` + version + `"}`,
	}
	for key, value := range want {
		if got := s.RPC("application", "get_env", "[demo, "+key+"]"); got != value {
			s.T.Errorf("%s of %s is %s, want %s", key, version, got, value)
		}
	}
	config, err := s.Output(s.T.Context(), "cat", "/var/lib/release/releases/"+version+"/sys.config")
	s.Must(err)
	if !strings.HasPrefix(config, "%% of demo "+version+"\n") || !strings.Contains(config, "{http_port,8080},{session_port,7000}") {
		s.T.Errorf("sys.config of %s is\n%s", version, config)
	}
}

// files are what stands in the releases of the volume, byte for byte.
func files(s *ship.Ship) string {
	s.T.Helper()
	text, err := s.Output(s.T.Context(), "sh", "-c", "cd /var/lib/release/releases && stat -c '%n %a' */sys.config* */vm.args* && sha256sum */sys.config* */vm.args*")
	s.Must(err)
	return text
}

func TestTemplatesAreFilledInWithTheNodesEnvironmentAndStaySo(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(append(docker.Hardened(), restarts...), open...)...)
		s.Replace(s.ImageOf("templates", configured(s, images.Seed, templates(images.Seed))))
		filledIn(s, images.Seed)
		if got := s.RPC("os", "getenv", `["FILLED"]`); got != `"ahoy"` {
			t.Errorf("vm.args sets %s", got)
		}
		if got := s.RPC("erlang", "get_cookie"); got != "oatmeal" {
			t.Errorf("the cookie is %s", got)
		}
		second := configured(s, images.Second, templates(images.Second))
		s.Ends(s.Upgrade(second), 0)
		filledIn(s, images.Second)
		s.Ends(s.Agent(nil, "rollback"), 0)
		filledIn(s, images.Seed)
		goesOn(s, second)
		filledIn(s, images.Second)
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Must(s.Restart(t.Context(), ship.Grace))
		filledIn(s, images.Seed)
	})
}

const anyStatus = -1 // a verb may want a terminal

// TestNobodysEnvironmentButTheNodesChangesItsConfiguration: relx's own script writes the configuration anew at each command,
// with the environment of whoever gave it, a health check for instance.
func TestNobodysEnvironmentButTheNodesChangesItsConfiguration(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(append(docker.Hardened(), restarts...), open...)...)
		s.Replace(s.ImageOf("poisoned", configured(s, images.Seed, templates(images.Seed))))
		filledIn(s, images.Seed)
		second := configured(s, images.Second, templates(images.Second))
		s.Ends(s.Upgrade(second), 0)
		own := files(s) // as they are where nobody brings anything
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Ends(s.Agent(nil, "remove", images.Second), 0)
		is := func(after string) {
			t.Helper()
			if now := files(s); now != own {
				t.Errorf("after agent %s there stands\n%s\nand before\n%s", after, now, own)
			}
		}
		poisoned := func(status int, stdin []byte, args ...string) {
			t.Helper()
			var stderr strings.Builder
			got, err := s.Exec(t.Context(), docker.Exec{Options: poison, Args: append([]string{"agent"}, args...), Stdin: strings.NewReader(string(stdin)), Stderr: &stderr})
			s.Must(err)
			if got != status && status != anyStatus {
				t.Errorf("agent %s ends with %d, want %d: %s", args, got, status, stderr.String())
			}
		}
		poisoned(0, second, "upgrade", "-")
		filledIn(s, images.Second)
		is("upgrade")
		poisoned(0, nil, "rollback")
		filledIn(s, images.Seed)
		is("rollback")
		// What each does in the story so far is settled: remove takes 1.1.0 away, and stop is for the end.
		for _, verb := range slices.Sorted(maps.Keys(asks)) {
			switch verb {
			case "stop", "remove", "upgrade", "rollback":
				continue
			}
			poisoned(anyStatus, nil, strings.Fields(asks[verb])...)
			is(verb)
		}
		const seed = "/usr/share/agent/seed/seed.tar.gz"
		poisoned(0, nil, "version")
		poisoned(0, nil, "history", "show")
		poisoned(0, nil, "verify", seed)
		poisoned(anyStatus, nil, "relup", seed, seed)
		poisoned(anyStatus, nil, "rehearse", seed, seed)
		poisoned(anyStatus, nil, "plugin", "check", "/bin/true")
		poisoned(3, nil, "upgrade", seed) // it runs already
		poisoned(1, nil, "run")           // the volume is taken
		is("run")
		poisoned(0, nil, "remove", images.Second)
		filledIn(s, images.Seed)
		poisoned(anyStatus, nil, "stop") // which may be killed with the container
		dies(s)
		s.Must(s.Start(t.Context()))
		filledIn(s, images.Seed)
	})
}

// TestATemplateThatCannotBeFilledInIsRefusedWithTheVariablesThatAreMissing, and the service goes on.
func TestATemplateThatCannotBeFilledInIsRefusedWithTheVariablesThatAreMissing(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, append(docker.Hardened(), open...)...)
		s.Replace(s.ImageOf("missing", configured(s, images.Seed, templates(images.Seed))))
		filledIn(s, images.Seed)
		broken := templates(images.Second)
		broken["sys.config.src"] = "[{demo,[{http_port,${HTTP_PORT}},{limit,${DEMO_LIMIT}}]}].\n"
		a := s.Ends(s.Upgrade(configured(s, images.Second, broken)), 3)
		if !strings.Contains(a.Stderr, "DEMO_LIMIT had no value in the node's environment") {
			t.Errorf("the upgrade says %s", a.Stderr)
		}
		filledIn(s, images.Seed)
		broken["sys.config.src"] = "[{demo,[{http_port,${HTTP_PORT}},{session_port,7000},{greeting,\"${DEMO_WORD}\"}]}].\n"
		s.Ends(s.Upgrade(configured(s, images.Second, broken)), 0)
		s.Serves(images.Second)
		s.Tells("config.unset")
	})
}

// TestTemplatesAreFilledInAsRelxsOwnScriptDoes compares with the script of the package itself. That never ends with a default
// that holds a variable or an &.
func TestTemplatesAreFilledInAsRelxsOwnScriptDoes(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		var script string
		_, err := repack.Bytes(s.Package(images.Seed), func(name string, content []byte) (string, []byte) {
			if strings.TrimPrefix(name, "./") == "bin/demo" {
				script = string(content)
			}
			return name, content
		})
		s.Must(err)
		function := regexp.MustCompile(`(?s)\nreplace_os_vars\(\) \{\n.*?\n\}\n`).FindString(script)
		if function == "" {
			t.Fatalf("the package has no script that fills in templates: %d bytes", len(script))
		}
		environ := []string{"PATH=" + os.Getenv("PATH"), "PORT=9191", "HOST=h", "EMPTY=", "URL=http://${HOST}:${PORT}", "QUERY=a&b=c", "DOLLAR=$"}
		const template = "[{demo, [{port, ${PORT}}, {again, ${PORT}}]}].\n\n%% ${NOWHERE} and ${\n-name demo@${HOST}\n${URL}/${EMPTY}\n" +
			"${NOWHERE:-8080}${EMPTY:-x}${PORT:-1}\n${NOWHERE:-}|${NOWHERE:-a:-b}\n${NOWHERE:-{127,0,0,1}}\n${QUERY}\n${DOLLAR}{PORT}\n$PORT {PORT} $${PORT}\nthe last line"
		dir := t.TempDir()
		s.Must(os.WriteFile(filepath.Join(dir, "sys.config.src"), []byte(template), 0o600))
		ctx, cancel := context.WithTimeout(t.Context(), ship.Patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", function+"replace_os_vars sys.config.src relx")
		cmd.Dir, cmd.Env = dir, environ
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want, err := os.ReadFile(filepath.Join(dir, "relx"))
		s.Must(err)
		release := family.Release{Name: "demo", Version: images.Seed, Dir: dir}
		got, err := family.Of(release, family.Host{}).Resolve(context.Background(), release, environ)
		s.Must(err)
		if string(got.Files[0].Content) != string(want) {
			t.Errorf("it is\n%s\nand relx makes\n%s", got.Files[0].Content, want)
		}
	})
}
