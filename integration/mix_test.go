package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/mixdemo"
	"theseus/integration/repack"
	"theseus/integration/ship"
	"theseus/integration/terminal"
)

// mixShip is a release of mix in a container.
type mixShip struct {
	*ship.Ship
	set  *mixdemo.Set
	kind mixdemo.Kind
}

var mixBuilt = struct {
	sync.Mutex
	sets map[string]*mixdemo.Set
}{sets: map[string]*mixdemo.Set{}}

func mixSet(t *testing.T, otp string) *mixdemo.Set {
	t.Helper()
	mixBuilt.Lock()
	defer mixBuilt.Unlock()
	if mixBuilt.sets[otp] == nil {
		var progress bytes.Buffer
		set, err := mixdemo.Prepare(t.Context(), ship.Open(t), otp, &progress, mixdemo.Kinds...)
		if err != nil {
			t.Fatalf("cannot build the images: %v\n%s", err, progress.String())
		}
		mixBuilt.sets[otp] = set
	}
	return mixBuilt.sets[otp]
}

// launchMix starts the service on a new volume, and waits until it runs.
func launchMix(t *testing.T, otp string, kind mixdemo.Kind, options ...string) mixShip {
	t.Helper()
	set := mixSet(t, otp)
	options = append(docker.Hardened(), options...)
	m := mixShip{ship.Build(t, &images.Set{OTP: otp, Image: set.Image(kind)}, options...), set, kind}
	m.Replace(m.Set.Image)
	m.runs(mixdemo.Seed)
	return m
}

// runs waits until the agent says that the node does.
func (m mixShip) runs(version string) {
	m.T.Helper()
	m.Must(m.Await(m.T.Context(), version+" running", ship.Patience, m.Healthy))
	if got := m.Status().Release.Version; got != version {
		m.T.Errorf("%s runs, not %s", got, version)
	}
}

// poisoned is the environment of a caller who has other ideas.
var poisoned = []string{"-e", "MIXDEMO_PORT=6666", "-e", "RELEASE_VSN=9.9.9", "-e", "RELEASE_NODE=other", "-e", "MIXDEMO_ORIGIN=poison"}

// command runs a command of the container in the poisoned environment.
func (m mixShip) command(stdin []byte, args ...string) ship.Answer {
	m.T.Helper()
	var stdout, stderr bytes.Buffer
	e := docker.Exec{Options: poisoned, Args: args, Stdout: &stdout, Stderr: &stderr}
	if stdin != nil {
		e.Stdin = bytes.NewReader(stdin)
	}
	status, err := m.Exec(m.T.Context(), e)
	m.Must(err)
	return ship.Answer{Status: status, Stdout: stdout.String(), Stderr: stderr.String()}
}

// launcher is the release's own, with an argument or two.
func (m mixShip) launcher(args ...string) string {
	m.T.Helper()
	return m.Ends(m.command(nil, append([]string{"/var/lib/release/bin/mixdemo"}, args...)...), 0).Stdout
}

// second is the package of the second version.
func (m mixShip) second() []byte {
	m.T.Helper()
	content, err := os.ReadFile(m.set.Package(m.kind, mixdemo.Second))
	m.Must(err)
	return content
}

// reports compares what the service says of itself, which counts at each question.
func (m mixShip) reports(version string, count int) {
	m.T.Helper()
	want := []string{fmt.Sprintf("count: %d,", count), "port: 7777", `greeting: \"from config.exs\"`, `origin: \"env.sh of ` + version + `, start\"`}
	if m.kind == mixdemo.Plain {
		want = []string{fmt.Sprintf("count: %d,", count), "port: 4000", "origin: nil"}
	}
	want = append(want, map[string][]string{
		mixdemo.Seed:   {`one: \"a number\"`, `text: \"unknown\"`, `enum: [\"a number\"]`},
		mixdemo.Second: {`one: \"a whole number\"`, `text: \"a text\"`, `enum: [\"a whole number\"]`, "%{"},
	}[version]...)
	got := m.RPC("Elixir.Mixdemo", "report")
	for _, words := range want {
		if !strings.Contains(got, words) {
			m.T.Errorf("the service says %s\nand not %s", got, words)
		}
	}
	if path := m.RPC("code", "get_path"); m.kind != mixdemo.Plain && strings.Count(path, "/consolidated") != 1 ||
		!strings.Contains(path, "releases/"+version+"/consolidated") {
		m.T.Errorf("the code path is %s", path)
	}
}

func TestMixKeepsStateAndConfigurationOnEachWay(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		for _, kind := range mixdemo.Kinds {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				m := launchMix(t, otp, kind)
				m.reports(mixdemo.Seed, 1)
				m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
				m.reports(mixdemo.Second, 2)
				m.Ends(m.command(nil, "agent", "rollback"), 0)
				m.reports(mixdemo.Seed, 3)
				m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
				m.reports(mixdemo.Second, 4)
				m.Must(m.Restart(t.Context(), 20e9))
				m.runs(mixdemo.Second)
				m.reports(mixdemo.Second, 1)
				m.Ends(m.command(nil, "agent", "rollback"), 0)
				m.reports(mixdemo.Seed, 2)
				m.Ends(m.command(nil, "agent", "remove", mixdemo.Second), 0)
				m.reports(mixdemo.Seed, 3)
				m.hasItsPath()
			})
		}
	})
}

// hasItsPath makes sure that no directory of the code path was removed.
func (m mixShip) hasItsPath() {
	m.T.Helper()
	got := m.launcher("rpc", `IO.inspect(for p <- :code.get_path(), not File.dir?(p), do: p)`)
	if !strings.Contains(got, "[]") {
		m.T.Errorf("the code path has lost %s", got)
	}
}

func TestMixConfigurationThatCannotBeResolvedChangesNothing(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		m := launchMix(t, otp, mixdemo.Stock)
		pid := m.Status().Node.PID
		for _, c := range []struct{ file, content, want string }{
			{"runtime.exs", `raise "no such luck"`, "Config.Reader ended with ** (RuntimeError) no such luck"},
			{"runtime.exs", `System.fetch_env!("NOWHERE")`, `could not fetch environment variable "NOWHERE" because it is not set`},
			{"runtime.exs", "import Config\nconfig :mixdemo, owner: self()", ":owner of mixdemo holds a value that has no text"},
			{"runtime.exs", "System.halt(3)", "the VM for it ended with status 3"},
			{"env.sh", "exit 4", "its env.sh ended with status 4"},
			{"env.sh", "export RELEASE_DISTRIBUTION=none", ""},
		} {
			pkg, err := repack.Bytes(m.second(), func(name string, content []byte) (string, []byte) {
				if name == "releases/1.1.0/"+c.file {
					content = []byte(c.content)
				}
				return name, content
			})
			m.Must(err)
			a := m.command(pkg, "agent", "upgrade", "-")
			if c.want == "" {
				m.Ends(a, 0)
				continue
			}
			m.Ends(a, 3)
			for _, words := range []string{"cannot upgrade to mixdemo 1.1.0: ", c.want, "mixdemo 1.0.0 still runs, nothing was changed"} {
				if !strings.Contains(a.Stderr, words) {
					t.Errorf("%s\ndoes not say %q", a.Stderr, words)
				}
			}
		}
		if got := m.Status().Node.PID; got != pid {
			t.Errorf("the node was restarted: %d, %d", pid, got)
		}
		if got := m.RPC("Elixir.Mixdemo", "report"); !strings.Contains(got, "port: 7777") || !strings.Contains(got, "origin: nil") {
			t.Error(got)
		}
	})
}

// remoteShellSays asks for the version in one. What is typed before its prompt may be lost when it takes the terminal.
func (m mixShip) remoteShellSays(want string) {
	m.T.Helper()
	c := terminal.Open(m.T)
	c.Start(exec.CommandContext(m.T.Context(), "docker", "exec", "-it", "-e", "TERM=xterm", m.ID, "/var/lib/release/bin/mixdemo", "remote"))
	c.Shows(")1>")
	c.Types(`IO.puts("vsn " <> to_string(Application.spec(:mixdemo, :vsn)))` + terminal.Enter)
	c.Shows(want)
}

func TestMixCommandsReachTheNode(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		m := launchMix(t, otp, mixdemo.Stock)
		for _, version := range []string{mixdemo.Seed, mixdemo.Second} {
			if got := m.launcher("rpc", "IO.puts(inspect({node(), Application.spec(:mixdemo, :vsn)}))"); !strings.Contains(got, m.Status().Node.Name) ||
				!strings.Contains(got, version) {
				t.Errorf("rpc says %q", got)
			}
			if got := m.launcher("pid"); !strings.Contains(got, fmt.Sprint(m.Status().Node.PID)) {
				t.Errorf("pid says %q", got)
			}
			if got := m.launcher("eval", "Application.load(:mixdemo); IO.inspect({node(), Application.get_env(:mixdemo, :port)})"); !strings.Contains(got, "{:nonode@nohost, 7777}") {
				t.Errorf("eval says %q", got)
			}
			if got := m.launcher("version"); !strings.Contains(got, "mixdemo "+version) {
				t.Errorf("version says %q", got)
			}
			m.remoteShellSays("vsn " + version)
			if remote := m.command([]byte{}, "/var/lib/release/bin/mixdemo", "remote"); remote.Status != 1 || !strings.Contains(remote.Stderr, "needs a terminal") {
				t.Errorf("remote without a terminal: %+v", remote)
			}
			if start := m.command(nil, "/var/lib/release/bin/mixdemo", "start"); start.Status != 1 || !strings.Contains(start.Stderr, "the agent starts the node") {
				t.Errorf("start: %+v", start)
			}
			if version == mixdemo.Seed {
				m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
			}
		}
		m.EndsIt(m.command(nil, "/var/lib/release/bin/mixdemo", "stop"))
		if status, err := m.Wait(context.WithoutCancel(t.Context())); status != 0 || err != nil {
			t.Errorf("the container ended with %d, %v", status, err)
		}
	})
}

func TestMixCookieAndNameAreThoseOfTheRelease(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		own := launchMix(t, otp, mixdemo.Stock)
		file := own.Ends(own.command(nil, "cat", "/var/lib/release/releases/1.0.0/COOKIE"), 0).Stdout
		if got := own.RPC("erlang", "get_cookie"); file == "" || strings.Trim(got, "'") != file {
			t.Errorf("the node's cookie is %s, the release's %q", got, file)
		}
		m := launchMix(t, otp, mixdemo.Stock, "-e", "RELEASE_COOKIE=container", "-e", "RELEASE_DISTRIBUTION=name", "-e", "RELEASE_NODE=shop@127.0.0.1",
			"-e", "RELEASE_MODE=interactive", "-e", "ELIXIR_ERL_OPTIONS=-kernel shell_history disabled")
		if got := m.RPC("erlang", "node") + m.RPC("erlang", "get_cookie") + m.RPC("code", "get_mode"); got != "'shop@127.0.0.1'containerinteractive" {
			t.Error(got)
		}
		if got := m.launcher("rpc", "IO.inspect({node(), :init.get_argument(:kernel)})"); !strings.Contains(got, "shop@127.0.0.1") || !strings.Contains(got, "shell_history") {
			t.Error(got)
		}
		if lines := m.Ends(m.command(nil, "sh", "-c", "cat /proc/[0-9]*/cmdline || true"), 0).Stdout; strings.Contains(lines, "container") {
			t.Errorf("the cookie is on a command line: %q", strings.Split(lines, "\x00"))
		}
		none := launchMix(t, otp, mixdemo.Stock, "-e", "RELEASE_DISTRIBUTION=none")
		none.Ends(none.command(none.second(), "agent", "upgrade", "-"), 0)
		if got := none.Status().Node.Name; got != "mixdemo@127.0.0.1" {
			t.Errorf("the node without a distribution is %s", got)
		}
	})
}

func TestMixRecordThatWasInventedIsReplaced(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		m := launchMix(t, otp, mixdemo.Stock)
		m.reports(mixdemo.Seed, 1)
		m.Ends(m.command(nil, "rm", "/var/lib/release/releases/RELEASES"), 0)
		m.RPC("supervisor", "terminate_child", "[sasl_sup, release_handler]")
		m.RPC("supervisor", "restart_child", "[sasl_sup, release_handler]")
		if got := m.RPC("release_handler", "which_releases"); got != `[{"mixdemo","1.0.0",[],permanent}]` {
			t.Fatalf("release_handler has invented nothing: %s", got)
		}
		a := m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
		if !strings.Contains(a.Stdout+a.Stderr, "release_handler has started without its records") {
			t.Errorf("nobody was warned: %+v", a)
		}
		m.reports(mixdemo.Second, 2)
		m.Ends(m.command(nil, "agent", "rollback"), 0)
		m.reports(mixdemo.Seed, 3)
		m.Ends(m.command(nil, "agent", "remove", mixdemo.Second), 0)
		m.hasItsPath()
	})
}

func TestMixMarksOfCastleAreLeftAlone(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		m := launchMix(t, otp, mixdemo.Castle)
		mark := func() {
			m.Ends(m.command(nil, "sh", "-c", "echo 9.9.9 >/var/lib/release/releases/castle-restart-pending"), 0)
		}
		mark()
		m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
		m.Must(m.Restart(t.Context(), 20e9))
		m.runs(mixdemo.Second)
		files := strings.Fields(m.Ends(m.command(nil, "ls", "/var/lib/release/releases"), 0).Stdout)
		if !slices.Contains(files, "castle-restart-pending") || slices.ContainsFunc(files, func(f string) bool {
			return strings.HasPrefix(f, "castle") && f != "castle-restart-pending"
		}) {
			t.Errorf("releases/ holds %v", files)
		}
		if got := m.RPC("os", "getenv", `["HEART_NO_KILL"]`); got != "false" {
			t.Errorf("HEART_NO_KILL is %s", got)
		}
	})
}
