package pid1

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// console is the far end of a terminal: what a person types and sees.
type console struct {
	t    *testing.T
	far  *os.File
	near *os.File
	mu   sync.Mutex
	text strings.Builder
	seen int // of text, by shows
}

func open(t *testing.T) *console {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err = errors.Join(err, unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	near, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := near.Chmod(0o666); err != nil { // it is the user's of the story
		t.Fatal(err)
	}
	c := &console{t: t, far: far, near: near}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for buf := make([]byte, 4096); ; {
			n, err := far.Read(buf) // EIO when nobody has the terminal any more
			c.mu.Lock()
			c.text.Write(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		near.Close()
		<-read
		far.Close()
	})
	return c
}

func (c *console) types(text string) {
	c.t.Helper()
	if _, err := c.far.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// shows waits until text has come, behind what was waited for before.
func (c *console) shows(text string) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("the terminal shows %q; it shows %q", text, c.all()), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := strings.Index(c.text.String()[c.seen:], text)
		if i >= 0 {
			c.seen += i + len(text)
		}
		return i >= 0
	})
}

func (c *console) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// interactive is a shell whose prompt is known, and that keeps nothing.
var interactive = []string{"env", "PS1=next> ", "HISTFILE=", "bash", "--norc", "--noprofile", "--noediting", "-i"}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlZ = "\x1a"
)

func TestAShellOnATerminalHasJobControl(t *testing.T) {
	tool(t, "bash")
	c := open(t)
	r := start(t, scene{tty: c.near, command: interactive})
	c.shows("next> ")
	c.types("echo flags:$-\n")
	c.shows("\nflags:")
	c.shows("m") // bash -i without a terminal of its own says so, and has none
	c.shows("next> ")
	c.types("sleep 1000\n")
	eventually(t, "the job has the foreground", func() bool { return foreground(c, "sleep") })
	c.types(ctrlC)
	c.shows("next> ")
	c.types("echo alive:$?\n")
	c.shows("\nalive:130")
	c.types("sleep 1000\n")
	eventually(t, "the job has the foreground", func() bool { return foreground(c, "sleep") })
	c.types(ctrlZ)
	c.shows("Stopped")
	c.types("kill -9 %1; disown -a; exit 3\n") // a shell with stopped jobs does not exit
	r.ends(3)
	for _, complaint := range []string{"no job control", "cannot set terminal", "agent:"} {
		if strings.Contains(c.all(), complaint) {
			t.Errorf("the terminal shows %q", c.all())
		}
	}
}

// foreground says whether the terminal's foreground group is led by this program.
func foreground(c *console, program string) bool {
	group, err := unix.IoctlGetInt(int(c.far.Fd()), unix.TIOCGPGRP)
	return err == nil && name(group) == program
}

// Handing a terminal over makes the kernel send HUP and CONT to whoever had it. A listener that gets HUP before
// it listens dies of it.
func TestNoHandOverOfTheTerminalIsASignalToTheCommand(t *testing.T) {
	for range 100 {
		c := open(t)
		r := start(t, scene{tty: c.near, role: "listener", command: self()})
		c.shows("ready")
		r.signal(unix.SIGUSR1)
		c.shows("signal 10")
		if got := strings.Fields(c.all()); len(got) != 3 {
			t.Fatalf("the terminal shows %q", c.all())
		}
		tell(t, r.first(), unix.SIGKILL)
		<-r.ended
	}
}

// The kernel stops nobody whom no shell could continue, an orphaned process group: the stop has no effect.
func TestAsPID1AStopHangsNothing(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		r := start(t, scene{command: shell("trap 'echo on' CONT; trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done")})
		r.expect("ready")
		r.signal(sig)
		r.signal(unix.SIGCONT)
		r.expect("on")
		r.signal(sig)
		r.signal(unix.SIGUSR1)
		r.ends(6)
	}
}

// session is a person's shell as PID 1, for an agent that is one of its jobs; $agent is the way to run it.
func session(t *testing.T) (*run, *console) {
	t.Helper()
	tool(t, "bash")
	c := open(t)
	r := start(t, scene{
		tty: c.near, command: []string{"true"}, launch: `export agent="$0 run --raw --"; exec ` + strings.Replace(strings.Join(interactive, " "), "PS1=next> ", "'PS1=next> '", 1),
	})
	c.shows("next> ")
	return r, c
}

// jobs are the agent and its command below the shell.
func jobs(t *testing.T, r *run) (agent, command int) {
	t.Helper()
	agent = only(t, r.first())
	return agent, only(t, agent)
}

func both(state1, state2, want string) bool { return state1 == want && state2 == want }

func TestAJobStopsAndGoesOnWithItsCommand(t *testing.T) {
	r, c := session(t)
	c.types("$agent cat\n")
	agent, command := jobs(t, r)
	eventually(t, "the command has the foreground", func() bool { return foreground(c, "cat") })
	for range 3 {
		c.types("words\n")
		c.shows("words\r\nwords\r\n") // echoed, and by cat
		c.types(ctrlZ)
		c.shows("Stopped")
		if !both(state(agent), state(command), "T") {
			t.Errorf("the agent is %s, its command %s", state(agent), state(command))
		}
		c.shows("next> ")
		c.types("fg\n")
		eventually(t, "both go on", func() bool { return both(state(agent), state(command), "S") })
	}
	c.types(ctrlD)
	c.shows("next> ")
	c.types("echo status:$?\n")
	c.shows("\nstatus:0")
}

func TestABackgroundJobThatReadsStopsUntilItHasTheForeground(t *testing.T) {
	r, c := session(t)
	c.types("$agent cat &\n")
	agent, command := jobs(t, r)
	eventually(t, "both have stopped", func() bool { return both(state(agent), state(command), "T") })
	c.types("fg\n")
	eventually(t, "the command has the foreground", func() bool { return foreground(c, "cat") })
	c.types("words\n")
	c.shows("words\r\nwords\r\n")
	c.types(ctrlC)
	c.shows("next> ")
	c.types("echo status:$?\n")
	c.shows("\nstatus:130")
}

// Without a terminal in common, a stop goes through the agent, and its end comes from there too.
func TestAStopThatIsSentToAJobWithoutATerminalStopsBoth(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		r := start(t, scene{launch: beside, command: shell("echo ready; exec sleep 1000"), before: []string{"set -m"}})
		r.expect("ready")
		agent, command := jobs(t, r)
		tell(t, agent, sig)
		eventually(t, "the command has stopped", func() bool { return state(command) == "T" })
		tell(t, agent, unix.SIGCONT)
		eventually(t, "both go on", func() bool { return both(state(agent), state(command), "S") })
		tell(t, agent, unix.SIGTERM)
		r.ends(143)
	}
}
