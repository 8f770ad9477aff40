// Package systemd tells stories of the agent as a unit of a real systemd: a user manager in namespaces of its own, so
// that it needs no systemd that booted the machine, and leaves nothing behind.
package systemd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
	"theseus/integration/program"
)

// patience is how long a fact may take on a loaded machine.
const patience = 3 * time.Minute

const systemd = "/lib/systemd/systemd"

// manager is a user manager, with the unit of docs/systemd.md as shop.service.
type manager struct {
	t     *testing.T
	dir   string
	first *exec.Cmd // PID 1 of its namespace
}

// boot starts the manager: a machine that systemd booted (sd_booted(3)), as far as it looks, and a control group.
const boot = `set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user
chmod 700 /run/user
mount -t tmpfs tmpfs /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/$GROUP
mkdir -p $group
echo 0 >$group/cgroup.procs
"$0" --user || true
echo 0 >/sys/fs/cgroup/cgroup.procs
find $group -depth -type d -exec rmdir {} +
`

// launch starts a manager whose shop.service differs from the documented one by these lines.
func launch(t *testing.T, lines ...string) *manager {
	t.Helper()
	t.Parallel()
	if os.Getuid() != 0 {
		need.Missing(t, "root, for namespaces")
	}
	if _, err := os.Stat(systemd); err != nil {
		need.Missing(t, "systemd")
	}
	m := &manager{t: t, dir: t.TempDir()}
	log := filepath.Join(m.dir, "log")
	units := filepath.Join(m.dir, "config", "systemd", "user")
	m.write(filepath.Join(units, "shop.service"), documented(t))
	m.write(filepath.Join(units, "shop.service.d", "here.conf"), strings.Join(append([]string{
		"[Service]", "User=", "ExecStart=", "ExecStart=" + agent(t) + " run",
		"Environment=AGENT_SEED=" + filepath.Join(packages(t), "cnt-1.0.0.tar.gz"), "Environment=AGENT_BOOT_TIMEOUT=5m AGENT_STOP_TIMEOUT=1m",
		"StandardOutput=append:" + log, "StandardError=append:" + log, "ExecStopPost=/bin/echo result ${SERVICE_RESULT}",
	}, lines...), "\n"))
	m.first = exec.Command("sh", "-c", boot, systemd)
	m.first.Env = append(m.environ(), fmt.Sprint("GROUP=", t.Name(), "-", os.Getpid()))
	m.first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	if err := m.first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	m.eventually("the manager runs", func() bool {
		_, err := m.command("systemctl", "--user", "is-system-running").Output()
		return err == nil
	})
	return m
}

func (m *manager) environ() []string {
	return append(os.Environ(), "XDG_RUNTIME_DIR=/run/user", "XDG_CONFIG_HOME="+filepath.Join(m.dir, "config"),
		"XDG_STATE_HOME="+filepath.Join(m.dir, "config"), "HOME="+m.dir, "AGENT_RUN_DIR=/run/user/shop")
}

// end has the manager stop everything, and waits for it.
func (m *manager) end() {
	_ = m.command("systemctl", "--user", "exit").Run()
	late := time.AfterFunc(patience, func() { _ = m.first.Process.Kill() }) // and with it the namespace
	defer late.Stop()
	if err := m.first.Wait(); err != nil {
		m.t.Errorf("the manager ends with %v", err)
	}
	if m.t.Failed() {
		m.t.Logf("the unit says:\n%s", m.said())
	}
}

// said is what the unit's processes wrote.
func (m *manager) said() string {
	text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
	return string(text)
}

// results are how systemd saw each run of the unit end (systemd.exec(5), SERVICE_RESULT).
func (m *manager) results(want ...string) {
	m.t.Helper()
	var got []string
	for line := range strings.Lines(m.said()) {
		if result, is := strings.CutPrefix(line, "result "); is {
			got = append(got, strings.TrimSpace(result))
		}
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("its runs end with %v, not %v", got, want)
	}
}

// node is the BEAM's pid where the manager is.
func (m *manager) node() string {
	m.t.Helper()
	return strings.Trim(m.agent("rpc", "os", "getpid"), `"`)
}

func (m *manager) write(path, content string) {
	m.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(content+"\n"), 0o644)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// command runs where the manager is.
func (m *manager) command(words ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(m.first.Process.Pid), "-m", "-p", "--"}, words...)...)
	cmd.Env = m.environ()
	return cmd
}

// run is the output of a command that must succeed.
func (m *manager) run(words ...string) string {
	m.t.Helper()
	out, err := m.command(words...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (m *manager) systemctl(words ...string) string {
	m.t.Helper()
	return m.run(append([]string{"systemctl", "--user"}, words...)...)
}

// agent is a verb.
func (m *manager) agent(words ...string) string {
	m.t.Helper()
	return m.run(append([]string{agent(m.t)}, words...)...)
}

// state is ActiveState/SubState of the unit, and its status. From 253 on systemd tells a reload that the service itself
// began apart.
func (m *manager) state() string {
	m.t.Helper()
	properties := map[string]string{}
	for line := range strings.Lines(m.systemctl("show", "shop", "-p", "ActiveState,SubState,StatusText")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[name] = value
	}
	return fmt.Sprintf("%s/%s: %s", properties["ActiveState"], strings.TrimSuffix(properties["SubState"], "-notify"), properties["StatusText"])
}

// property is one more of the unit's.
func (m *manager) property(name string) string {
	m.t.Helper()
	return m.systemctl("show", "shop", "--value", "-p", name)
}

// moment is a property that is a time, in microseconds.
func (m *manager) moment(name string) int {
	m.t.Helper()
	at, err := strconv.Atoi(m.property(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return at
}

// is waits until the unit is in a state.
func (m *manager) is(want string) {
	m.t.Helper()
	last := ""
	defer func() {
		if last != want {
			m.t.Logf("the unit is %s", last)
		}
	}()
	m.eventually("the unit is "+want, func() bool { last = m.state(); return last == want })
}

// over waits until the unit has stopped.
func (m *manager) over() {
	m.t.Helper()
	m.eventually("the unit is inactive", func() bool { return strings.HasPrefix(m.state(), "inactive/dead") })
}

func (m *manager) eventually(what string, fact func() bool) {
	m.t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !fact(); <-poll.C {
		if time.Now().After(deadline) {
			m.t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

// documented is the unit in docs/systemd.md.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/systemd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, unit, _ := strings.Cut(string(text), "```ini\n")
	unit, _, there := strings.Cut(unit, "```")
	if !there || !strings.Contains(unit, "Type=notify") {
		t.Fatal("docs/systemd.md has no unit")
	}
	return unit
}

// workshop is where the agent and its packages are made; the test's own directory ends too early for it.
var workshop = sync.OnceValue(func() string {
	dir, _ := os.MkdirTemp("", "systemd-")
	return dir
})

func TestMain(m *testing.M) {
	m.Run()
	os.RemoveAll(workshop())
}

var build sync.Once

func agent(t *testing.T) string {
	t.Helper()
	path := filepath.Join(workshop(), "agent")
	build.Do(func() { program.Build(t, path, "theseus/cmd/agent") })
	return path
}

var pack = sync.OnceValues(func() ([]byte, error) {
	source, err := filepath.Abs("../../cmd/agent/testdata/release")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "erl", "-noinput", "-boot", "no_dot_erlang", "-eval",
		`{ok, mk, Mk} = compile:file("`+source+`/mk", [binary]), {module, mk} = code:load_binary(mk, "mk", Mk), mk:packages("`+source+`", "."), halt().`)
	cmd.Dir = workshop()
	return cmd.CombinedOutput()
})

// packages is the directory of cnt-1.0.0.tar.gz and its successors.
func packages(t *testing.T) string {
	t.Helper()
	need.Tool(t, "erl")
	if out, err := pack(); err != nil {
		t.Fatalf("cannot make the packages: %v\n%s", err, out)
	}
	return workshop()
}
