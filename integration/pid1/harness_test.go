// Package pid1 tells stories about `agent run --raw`, with the real binary as PID 1 of a throw-away PID
// namespace, so that a story that goes wrong leaves nothing behind.
package pid1

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		role(os.Args[1:])
		return
	}
	m.Run()
	os.RemoveAll(workshop())
}

// workshop is where the agent is built; other users get there too, for some stories are theirs.
var workshop = sync.OnceValue(func() string {
	dir, _ := os.MkdirTemp("", "pid1-")
	_ = os.Chmod(dir, 0o755)
	return dir
})

var build sync.Once

// agent is the binary, where it can be what it is made for.
func agent(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		need.Missing(t, "root, for a PID namespace")
	}
	path := filepath.Join(workshop(), "agent")
	build.Do(func() { program.Build(t, path, "theseus/cmd/agent") })
	return path
}

// scene is how the agent is started.
type scene struct {
	before  []string // shell lines that precede the agent in its namespace
	launch  string   // the shell line that starts it; it replaces the shell, as PID 1, unless told otherwise
	flags   []string // of run --raw
	command []string
	env     []string // beside this process's own
	role    string   // of the command, when that is this program
	tty     *os.File // the terminal of its session
	stdin   *os.File
	files   []*os.File // 3 and up
}

// shell is a command that is a shell script.
func shell(script string) []string { return []string{"sh", "-c", script} }

// self is a command that is this program in a role.
func self(words ...string) []string { return append([]string{"/proc/self/exe"}, words...) }

// run is an agent that runs.
type run struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string // of its stdout
	stderr transcript
	ended  chan struct{}
}

type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts the agent, and ends the namespace with the test.
func start(t *testing.T, s scene) *run {
	t.Helper()
	launch := s.launch
	if launch == "" {
		launch = cmp.Or(unprivileged(), `exec "$0" "$@"`)
	}
	script := strings.Join(append([]string{"mount -t proc proc /proc"}, append(s.before, launch)...), "\n")
	words := append([]string{"-c", script, agent(t), "run", "--raw"}, s.flags...)
	words = append(append(words, "--"), s.command...)
	r := &run{t: t, cmd: exec.Command("/bin/sh", words...), lines: make(chan string, 1<<16), ended: make(chan struct{})}
	r.cmd.Env = append(append(os.Environ(), roleVariable+"="+s.role), s.env...)
	if s.role != "" {
		r.cmd.Args[len(r.cmd.Args)-len(s.command)] = os.Args[0]
	}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	r.cmd.ExtraFiles = s.files
	if s.stdin != nil {
		r.cmd.Stdin = s.stdin
	}
	var read func()
	if s.tty != nil {
		r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = s.tty, s.tty, s.tty
		r.cmd.SysProcAttr.Setctty = true
		read = func() {}
	} else {
		r.cmd.Stderr = &r.stderr
		stdout, err := r.cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		read = func() {
			for scan := bufio.NewScanner(stdout); scan.Scan(); {
				r.lines <- scan.Text()
			}
			close(r.lines)
		}
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		read()
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // and with it the namespace
		<-r.ended
	})
	return r
}

// line is the next line of the command's output.
func (r *run) line() string {
	r.t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok {
			r.t.Fatalf("no more output; stderr:\n%s", &r.stderr)
		}
		return line
	case <-time.After(patience):
		r.t.Fatalf("no line of output came; stderr:\n%s", &r.stderr)
	}
	return ""
}

func (r *run) expect(want string) {
	r.t.Helper()
	if got := r.line(); got != want {
		r.t.Fatalf("the command says %q, not %q; stderr:\n%s", got, want, &r.stderr)
	}
}

// rest is what the command still says until all have closed its output.
func (r *run) rest() []string {
	r.t.Helper()
	var all []string
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				return all
			}
			all = append(all, line)
		case <-time.After(patience):
			r.t.Fatal("the command's output does not end")
		}
	}
}

// status waits for the end, and is the exit status; -1 when a signal ended it.
func (r *run) status() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("does not end; stderr:\n%s", &r.stderr)
	}
	return 0
}

func (r *run) ends(want int) {
	r.t.Helper()
	if got := r.status(); got != want {
		r.t.Fatalf("exit status %d, want %d; stderr:\n%s", got, want, &r.stderr)
	}
}

// first is the namespace's PID 1 as it is seen from here, which is the agent unless the scene has it beside.
func (r *run) first() int { return r.cmd.Process.Pid }

func (r *run) signal(sig syscall.Signal) {
	r.t.Helper()
	tell(r.t, r.first(), sig)
}

func tell(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("cannot send %v to %d: %v", sig, pid, err)
	}
}

// children of pid, dead ones too.
func children(pid int) []int {
	var list []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for word := range strings.FieldsSeq(string(text)) {
			child, _ := strconv.Atoi(word)
			list = append(list, child)
		}
	}
	return list
}

// only waits until pid has one child, and is that.
func only(t *testing.T, pid int) (child int) {
	t.Helper()
	eventually(t, "there is one child", func() bool {
		list := children(pid)
		if len(list) == 1 {
			child = list[0]
		}
		return len(list) == 1
	})
	return child
}

// field is a line of /proc/PID/status.
func field(pid int, name string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// state is R, S, T, Z and so on; empty when pid is gone.
func state(pid int) string {
	letter, _, _ := strings.Cut(field(pid, "State"), " ")
	return letter
}

func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !fact(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}
