package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/need"
	"theseus/integration/program"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

const gatesOfStory = `
settle = "2m"

[gates.memory]
memory = {most = "64M"}
interval = "500ms"
timeout = "2m"

[gates.crashes]
crashes = {most = 0}
interval = "500ms"
timeout = "2m"

[gates.restarts]
restarts = {most = 1}
interval = "500ms"
timeout = "2m"

[gates.mailbox]
mailbox = {most = 1000}
interval = "500ms"
timeout = "2m"

[gates.errors]
logs = {level = "error", most = 10, within = "30s"}
interval = "500ms"
timeout = "2m"

[gates.serves]
http = {url = "http://127.0.0.1:8080/version", body = '^1\.[0-9]'}
timeout = "2m"
`

// illnesses are what befalls a healthy new version some seconds after its installation, by the gate that finds it.
var illnesses = map[string]string{
	"memory":  `spawn_link(fun() -> Kept = binary:copy(<<0:8000000>>, 200), receive never -> Kept end end)`,
	"crashes": `proc_lib:spawn(fun() -> error(ill) end)`,
	"mailbox": `P = spawn_link(fun() -> timer:sleep(infinity) end), [P ! ill || _ <- lists:seq(1, 5000)]`,
	"errors":  `[logger:error("ill") || _ <- lists:seq(1, 20)]`,
}

// ill is 1.1.0 with a process that falls ill after ten seconds.
func ill(s *ship.Ship, illness string) []byte {
	s.T.Helper()
	return rewritten(s, "demo_stats", func(source string) string {
		source = strings.Replace(source, "init([]) ->\n", "init([]) ->\n    erlang:send_after(10000, self(), fall_ill),\n", 1)
		source = strings.Replace(source, "-export([init/1,", "-export([handle_info/2, init/1,", 1)
		return source + "\nhandle_info(fall_ill, State) ->\n    " + illness + ",\n    {noreply, State}.\n"
	})
}

// rewritten is 1.1.0 with another source of a module.
func rewritten(s *ship.Ship, module string, edit func(source string) string) []byte {
	s.T.Helper()
	root, err := images.Root()
	s.Must(err)
	source, err := os.ReadFile(filepath.Join(root, "integration/demo/1.1.0/apps/demo/src", module+".erl"))
	s.Must(err)
	dir := s.T.TempDir()
	s.Must(os.WriteFile(filepath.Join(dir, module+".erl"), []byte(edit(string(source))), 0o644))
	need.Tool(s.T, "erlc")
	if out, err := exec.CommandContext(s.T.Context(), "erlc", "+debug_info", "-o", dir, filepath.Join(dir, module+".erl")).CombinedOutput(); err != nil {
		s.T.Fatalf("%v: %s", err, out)
	}
	beam, err := os.ReadFile(filepath.Join(dir, module+".beam"))
	s.Must(err)
	pkg, err := repack.Bytes(s.Package(images.Second), func(name string, content []byte) (string, []byte) {
		if filepath.Base(name) == module+".beam" {
			content = beam
		}
		return name, content
	})
	s.Must(err)
	return pkg
}

// withGates are the options of a container whose image has a file of gates.
func withGates(t *testing.T, text string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gates.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	readable(t, filepath.Dir(path))
	return append(docker.Hardened(), "-v", path+":/etc/agent/gates.toml:ro")
}

// failedGate is the gate of the newest event that tells of one.
func failedGate(s *ship.Ship) string {
	s.T.Helper()
	gate := "none"
	for _, e := range s.History() {
		if e.Kind == "gate.failed" {
			gate = fmt.Sprint(e.Attrs["gate"])
		}
	}
	return gate
}

// TestAVersionThatFallsIllIsTakenBackInService: healthy for some seconds, then it leaks, crashes, falls behind or logs errors. Its
// gates find that while it settles, and none of a thousand sessions notices.
func TestAVersionThatFallsIllIsTakenBackInService(t *testing.T) {
	ship.Alone(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, withGates(t, gatesOfStory)...)
		ip, err := s.IP(t.Context())
		s.Must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000"})
		s.Must(err)
		node := s.Status().Node
		for gate, illness := range illnesses {
			clients.Mark(gate)
			begun := time.Now()
			answer := s.Ends(s.Upgrade(ill(s, illness)), 4)
			t.Logf("%s, after %s:\n%s", gate, time.Since(begun).Round(time.Millisecond), answer.Stderr)
			s.Has(answer.Stderr, "gate "+gate, "demo 1.0.0 runs again, in service")
			if found := failedGate(s); found != gate {
				t.Errorf("the gate %s found that it %s", found, gate)
			}
			s.Serves(images.Seed)
		}
		clients.Mark("healthy")
		s.Ends(s.Upgrade(s.Package(images.Second), "--settle", "15s"), 0)
		s.Serves(images.Second)
		if report := clients.Stop(); !report.Lossless() || report.Sessions.StateKept != 1000 || report.HTTP.Kept != 200 {
			t.Errorf("the clients lost something: %+v", report)
		}
		if after := s.Status().Node; after.PID != node.PID {
			t.Errorf("the node was restarted: %+v, %+v", node, after)
		}
	})
}

// TestAGateOfEachMomentHasItsSay: one that a plugin objects to before is not installed, one that fails after it is taken back.
func TestAGateOfEachMomentHasItsSay(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		bin := t.TempDir()
		for name, pkg := range map[string]string{"agent-plugin": "theseus/cmd/agent-plugin", "maintenance": "theseus/agent/plugin/template"} {
			program.Build(t, filepath.Join(bin, name), pkg)
		}
		readable(t, bin)
		text, err := os.ReadFile(filepath.Join(bin, "maintenance"))
		if err != nil {
			t.Fatal(err)
		}
		gates := fmt.Sprintf(`
[gates.maintenance]
plugin = {path = "/usr/lib/agent/maintenance", sha256 = "%x", config = {file = "/run/maintenance"}}
when = ["before", "settle"]
retries = 0
timeout = "2m"

[gates.old]
http = {url = "http://127.0.0.1:8080/version", body = '^1\.0'}
when = ["after"]
retries = 0
timeout = "2m"

[gates.responds]
rpc = {call = "erlang:is_alive"}
timeout = "2m"

[gates.shell]
exec = {command = ["/bin/sh", "-c", "test $GATE_TO != 1.2.0"]}
timeout = "2m"
`, sha256.Sum256(text))
		s := ship.Launch(t, set, append(withGates(t, gates), "-v", filepath.Join(bin, "agent-plugin")+":/usr/local/bin/agent-plugin:ro",
			"-v", filepath.Join(bin, "maintenance")+":/usr/lib/agent/maintenance:ro")...)
		table := s.Ends(s.Agent(nil, "gate", "check"), 0).Stdout
		t.Log("\n" + table)
		s.Has(table, "maintenance", "plugin", "before,settle", "passes")
		s.Has(s.Ends(s.Agent(nil, "plugin", "check", "/usr/lib/agent/maintenance", "--timeout", "2m", "--config", "file=/etc/passwd"), 1).Stdout,
			fmt.Sprintf("sha256 = %q", hex.EncodeToString(sumOf(text))), "/etc/passwd is there: no upgrade")

		node := s.Status().Node
		touch := func(command string) { _, err := s.Output(t.Context(), "sh", "-c", command); s.Must(err) }
		touch("touch /run/maintenance")
		s.Has(s.Ends(s.Upgrade(s.Package(images.Second)), 3).Stderr, "gate maintenance: /run/maintenance is there", "nothing was changed")
		touch("rm /run/maintenance")
		s.Has(s.Ends(s.Upgrade(s.Package(images.Second)), 4).Stderr, "gate old: its answer does not match", "demo 1.0.0 runs again, in service")
		s.Has(s.Ends(s.Agent(nil, "gate", "check"), 0).Stdout, "old")
		if after := s.Status().Node; after.PID != node.PID {
			t.Errorf("the node was restarted: %+v, %+v", node, after)
		}
		s.Must(s.Await(t.Context(), "nothing of a plugin", ship.Patience, func(ctx context.Context) error {
			left, err := s.Output(ctx, "sh", "-c", "ls /run/agent; cat /proc/[0-9]*/comm || true")
			if strings.Contains(left, "plugin") || strings.Contains(left, "maintenance") {
				err = fmt.Errorf("left is\n%s", left)
			}
			return err
		}))

		// What its gate has taken back is in quarantine, also for an image that brings it.
		s.Has(s.Agent(bytes.NewReader(s.Package(images.Second)), "plan", "-").Stdout, "given-up: 1.1.0 is in quarantine: gate old: its answer does not match")
		s.Has(s.Agent(nil, "status").Stdout, "quarantined  1.1.0, ", "gate old: its answer does not match")
		s.Replace(s.ImageOf("condemned", s.Package(images.Second)))
		s.Serves(images.Seed)
		s.Has(s.Agent(nil, "status").Stdout, "the image's package is in quarantine: gate old: its answer does not match", "quarantined  1.1.0, ")
	})
}

func sumOf(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// readable makes a directory of the test's one for everybody: the agent of a container is another user.
func readable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
