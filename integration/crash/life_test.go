package crash

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// life is an agent on a volume, in a PID namespace that ends with it.
type life struct {
	*tracer
	cell   *cell
	volume string
	beside bool // PID 1 is another process, and the agent can end alone
	env    []string

	run     string   // directory
	first   int      // PID 1
	hold    *os.File // what PID 1 waits for the end of, where that is not the agent
	pids    *os.File
	log     *os.File
	notices *net.UnixConn
	gate    *os.File // closed while the agent waits at its threshold
	ready   atomic.Bool
}

// born starts an agent that waits at its threshold until enters.
func (c *cell) born(volume string, beside bool, env ...string) (*life, error) {
	l := &life{cell: c, volume: volume, beside: beside, env: env, run: c.name("run")}
	if err := os.Mkdir(l.run, 0o711); err != nil {
		return nil, err
	}
	var err error
	if l.log, err = os.Create(l.run + ".log"); err != nil {
		return nil, err
	}
	if beside {
		if err := l.startFirst(); err != nil {
			return nil, err
		}
		l.tracer = newTracer(l.first) // until there is an agent
		if l.pids, err = os.Open(fmt.Sprintf("/proc/%d/ns/pid", l.first)); err != nil {
			return l, err
		}
	}
	return l, l.reborn()
}

// startFirst starts a PID 1 that reaps, and ends with this program.
func (l *life) startFirst() error {
	held, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	defer held.Close()
	l.hold = hold
	l.first, err = l.cell.start(process{
		words: []string{"sh", "-c", "read end <&3 & wait"}, files: append(l.outputs(nil), held), spaces: unix.CLONE_NEWPID,
	})
	return err
}

func (l *life) outputs(stdin *os.File) []*os.File { return []*os.File{stdin, l.log, l.log} }

// threshold gets a /proc of its PID namespace, and waits.
var threshold = []string{"unshare", "--mount-proc", "sh", "-c", `read go && exec "$0" run`}

// reborn starts the agent, the first one or another one in the same namespace.
func (l *life) reborn() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	l.gate = w
	p := process{words: append(slices.Clone(threshold), l.cell.agent), env: l.environment(), files: l.outputs(r), pids: l.pids}
	if !l.beside {
		p.spaces = unix.CLONE_NEWPID
	}
	pid, err := l.cell.start(p)
	if err != nil {
		return err
	}
	l.tracer = newTracer(pid)
	l.enter, l.leave = func(*call) {}, func(*call) {}
	if !l.beside {
		l.first = pid
		if l.pids, err = os.Open(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil {
			return err
		}
	}
	if err := l.seize(); err != nil {
		return err
	}
	return l.listen()
}

func (l *life) listen() (err error) {
	path := l.run + ".notify"
	if l.notices != nil {
		l.notices.Close()
		os.Remove(path)
	}
	l.notices, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		l.ready.Store(false)
		go l.hear(l.notices, l.tracer)
	}
	return err
}

// enters lets the agent go beyond its threshold.
func (l *life) enters() error {
	defer l.gate.Close()
	_, err := l.gate.WriteString("go\n")
	return err
}

func (l *life) environment() []string {
	return append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "ERL_FLAGS=+S 1:1 +SDio 1 +A 1",
		"AGENT_VOLUME=" + l.volume, "AGENT_RUN_DIR=" + l.run, "AGENT_SEED=" + l.cell.pkg("1.0.0"), "AGENT_SETTLE=0s",
		"NOTIFY_SOCKET=" + l.run + ".notify",
	}, l.env...)
}

// hear notes when the agent says that the node is up, and that it says more: nobody may keep it waiting.
func (l *life) hear(notices *net.UnixConn, t *tracer) {
	datagram := make([]byte, 4096)
	for {
		n, err := notices.Read(datagram)
		if err != nil {
			return
		}
		if strings.Contains(string(datagram[:n]), "READY=1") {
			l.ready.Store(true)
			t.wake()
		}
	}
}

// boots lets the agent in, and waits until the node is up, or the agent has ended.
func (l *life) boots() error {
	if err := l.enters(); err != nil {
		return err
	}
	err := l.tracer.run(func() bool { return l.ready.Load() || l.over() })
	if err == nil && !l.ready.Load() {
		err = fmt.Errorf("the agent ended with %v", l.ended[l.agent])
	}
	if err != nil {
		return fmt.Errorf("the node does not boot: %w\n%s", err, l.text())
	}
	_, err = l.must("status") // when it is answered, the event is recorded
	return err
}

// over says that the agent has ended.
func (l *life) over() bool {
	_, over := l.ended[l.agent]
	return over
}

// end kills all of it, and returns when all is gone. It may be called again.
func (l *life) end() error {
	if l.first == 0 {
		return nil
	}
	_ = unix.Kill(l.first, unix.SIGKILL)
	err := l.tracer.run(func() bool {
		_, gone := l.ended[l.first]
		return gone && l.over()
	})
	l.first = 0
	if l.notices != nil {
		l.notices.Close()
	}
	for _, file := range []*os.File{l.hold, l.pids, l.log} {
		file.Close()
	}
	return errors.Join(err, os.RemoveAll(l.run))
}

// text is what agent and node have printed.
func (l *life) text() string {
	text, _ := os.ReadFile(l.log.Name())
	return string(text)
}

// client is an agent's command.
type client struct {
	pid            int
	stdout, stderr *os.File
}

// answer is how it ended.
type answer struct {
	status         int
	stdout, stderr string
}

func (l *life) ask(words ...string) (*client, error) {
	c := &client{}
	var err error
	if c.stdout, err = os.Create(l.run + ".out"); err != nil {
		return nil, err
	}
	if c.stderr, err = os.Create(l.run + ".err"); err != nil {
		return nil, err
	}
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer nothing.Close()
	words = append([]string{l.cell.agent, "--socket", filepath.Join(l.run, "agent.sock")}, words...)
	c.pid, err = l.cell.start(process{words: words, env: os.Environ(), files: []*os.File{nothing, c.stdout, c.stderr}, pids: l.pids})
	return c, err
}

func (c *client) answer(status syscall.WaitStatus) answer {
	defer c.stdout.Close()
	defer c.stderr.Close()
	stdout, _ := os.ReadFile(c.stdout.Name())
	stderr, _ := os.ReadFile(c.stderr.Name())
	return answer{status.ExitStatus(), string(stdout), string(stderr)}
}

// finish waits for the end of a command, whatever becomes of the agent.
func (l *life) finish(c *client) (answer, error) {
	ended := func() bool { _, ended := l.ended[c.pid]; return ended }
	if err := l.tracer.run(ended); err != nil {
		return answer{}, fmt.Errorf("a command does not end: %w\n%s", err, l.text())
	}
	a := c.answer(l.ended[c.pid])
	delete(l.ended, c.pid)
	return a, nil
}

// must asks, and has to be answered.
func (l *life) must(words ...string) (string, error) {
	c, err := l.ask(words...)
	if err != nil {
		return "", err
	}
	a, err := l.finish(c)
	if err == nil && a.status != 0 {
		err = fmt.Errorf("agent %q: exit status %d: %s\n%s", words, a.status, a.stderr, l.text())
	}
	return a.stdout, err
}

// node is the BEAM; 0 is none.
func (l *life) node() int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", l.agent))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for word := range strings.FieldsSeq(string(text)) {
			comm, _ := os.ReadFile("/proc/" + word + "/comm")
			if pid, err := strconv.Atoi(word); err == nil && strings.TrimSpace(string(comm)) == "beam.smp" {
				return pid
			}
		}
	}
	return 0
}

var eventKind = regexp.MustCompile(`kind=([a-z._]+)`)

// step is the last event that the agent has told of.
func lastEvent(line []byte) string {
	if kinds := eventKind.FindAllSubmatch(line, -1); kinds != nil {
		return string(kinds[len(kinds)-1][1])
	}
	return ""
}
