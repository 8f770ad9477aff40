package pid1

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
	"theseus/integration/terminal"
)

// interactive is a shell whose prompt is known, and that keeps nothing.
var interactive = []string{"env", "PS1=next> ", "HISTFILE=", "bash", "--norc", "--noprofile", "--noediting", "-i"}

func TestAShellOnATerminalHasJobControl(t *testing.T) {
	need.Tool(t, "bash")
	c := terminal.Open(t)
	r := start(t, scene{tty: c.Near, command: interactive})
	c.Shows("next> ")
	c.Types("echo flags:$-\n")
	c.Shows("\nflags:")
	c.Shows("m") // bash -i without a terminal of its own says so, and has none
	c.Shows("next> ")
	c.Types("sleep 1000\n")
	eventually(t, "the job has the foreground", func() bool { return foreground(c, "sleep") })
	c.Types(terminal.CtrlC)
	c.Shows("next> ")
	c.Types("echo alive:$?\n")
	c.Shows("\nalive:130")
	c.Types("sleep 1000\n")
	eventually(t, "the job has the foreground", func() bool { return foreground(c, "sleep") })
	c.Types(terminal.CtrlZ)
	c.Shows("Stopped")
	c.Types("kill -9 %1; disown -a; exit 3\n") // a shell with stopped jobs does not exit
	r.ends(3)
	for _, complaint := range []string{"no job control", "cannot set terminal", "agent:"} {
		if strings.Contains(c.All(), complaint) {
			t.Errorf("the terminal shows %q", c.All())
		}
	}
}

// foreground says whether the terminal's foreground group is led by this program.
func foreground(c *terminal.Terminal, program string) bool {
	group, err := unix.IoctlGetInt(int(c.Far.Fd()), unix.TIOCGPGRP)
	return err == nil && name(group) == program
}

// Handing a terminal over makes the kernel send HUP and CONT to whoever had it. A listener that gets HUP before
// it listens dies of it.
func TestNoHandOverOfTheTerminalIsASignalToTheCommand(t *testing.T) {
	for range 100 {
		c := terminal.Open(t)
		r := start(t, scene{tty: c.Near, role: "listener", command: self()})
		c.Shows("ready")
		r.signal(unix.SIGUSR1)
		c.Shows("signal 10")
		if got := strings.Fields(c.All()); len(got) != 3 {
			t.Fatalf("the terminal shows %q", c.All())
		}
		tell(t, r.first(), unix.SIGKILL)
		<-r.ended
	}
}

// The kernel stops nobody whom no shell could continue, an orphaned process group: the stop has no effect.
func TestAsPID1AStopHangsNothing(t *testing.T) {
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		r := start(t, scene{command: shell("trap 'echo here' 40; trap 'echo on' CONT; trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done")})
		r.expect("ready")
		r.signal(sig)
		r.signal(40)
		r.expect("here") // and so the stop came before: forwarded behind CONT it would discard that
		r.signal(unix.SIGCONT)
		r.expect("on")
		r.signal(sig)
		r.signal(unix.SIGUSR1)
		r.ends(6)
	}
}

// session is a person's shell as PID 1, for an agent that is one of its jobs; $agent is the way to run it.
func session(t *testing.T) (*run, *terminal.Terminal) {
	t.Helper()
	need.Tool(t, "bash")
	c := terminal.Open(t)
	r := start(t, scene{
		tty: c.Near, command: []string{"true"}, launch: `export agent="$0 run --raw --"; exec ` + strings.Replace(strings.Join(interactive, " "), "PS1=next> ", "'PS1=next> '", 1),
	})
	c.Shows("next> ")
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
	c.Types("$agent cat\n")
	agent, command := jobs(t, r)
	eventually(t, "the command has the foreground", func() bool { return foreground(c, "cat") })
	for range 3 {
		c.Types("words\n")
		c.Shows("words\r\nwords\r\n") // echoed, and by cat
		c.Types(terminal.CtrlZ)
		c.Shows("Stopped")
		if !both(state(agent), state(command), "T") {
			t.Errorf("the agent is %s, its command %s", state(agent), state(command))
		}
		c.Shows("next> ")
		c.Types("fg\n")
		eventually(t, "both go on", func() bool { return both(state(agent), state(command), "S") })
	}
	c.Types(terminal.CtrlD)
	c.Shows("next> ")
	c.Types("echo status:$?\n")
	c.Shows("\nstatus:0")
}

func TestABackgroundJobThatReadsStopsUntilItHasTheForeground(t *testing.T) {
	r, c := session(t)
	c.Types("set -b; $agent cat &\n")
	agent, command := jobs(t, r)
	// The shell has to know before it is told to go on: it continues nobody whom it takes to be running.
	c.Shows("Stopped")
	if !both(state(agent), state(command), "T") {
		t.Errorf("the agent is %s, its command %s", state(agent), state(command))
	}
	c.Types("fg\n")
	eventually(t, "the command has the foreground", func() bool { return foreground(c, "cat") })
	c.Types("words\n")
	c.Shows("words\r\nwords\r\n")
	c.Types(terminal.CtrlC)
	c.Shows("next> ")
	c.Types("echo status:$?\n")
	c.Shows("\nstatus:130")
}

// Without a terminal in common, a stop goes through the agent, and its end comes from there too.
func TestAStopThatIsSentToAJobWithoutATerminalStopsBoth(t *testing.T) {
	need.Tool(t, "bash")
	for _, sig := range []unix.Signal{unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU} {
		// Other shells have no jobs without a terminal, and what is in PID 1's group nothing stops.
		r := start(t, scene{launch: `exec bash -c 'set -m; "$0" "$@" & wait -f $!' "$0" "$@"`, command: shell("echo ready; exec sleep 1000")})
		r.expect("ready")
		agent, command := jobs(t, r)
		tell(t, agent, sig)
		eventually(t, "both have stopped", func() bool { return both(state(agent), state(command), "T") })
		tell(t, agent, unix.SIGCONT)
		eventually(t, "both go on", func() bool { return both(state(agent), state(command), "S") })
		tell(t, agent, unix.SIGTERM)
		r.ends(143)
	}
}
