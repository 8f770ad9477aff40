package signals

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// erl starts a real node that runs an expression. The erl script execs its way to the VM, so the pid stays.
func erl(t *testing.T, i *Init, expression string, env ...string) *Process {
	t.Helper()
	p, err := i.Start(Command{
		Path:   tool(t, "erl"),
		Args:   []string{"erl", "-noinput", "-eval", expression},
		Env:    append(os.Environ(), env...),
		Dir:    t.TempDir(),
		Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// written waits until a file that the node writes has its content.
func written(t *testing.T, file string) {
	t.Helper()
	eventually(t, file+" is written", func() bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.HasSuffix(string(content), "\n")
	})
}

// TERM is swallowed for most of a BEAM's boot, so a single one would leave many of these running.
func TestStopEndsABeamAtAnyMomentOfItsBoot(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for _, moment := range []time.Duration{0, 20, 60, 150, 300, 500, 800} {
		p := erl(t, i, "ok")
		<-time.After(moment * time.Millisecond) // when TERM comes is what is tested
		exit := p.Stop(t.Context(), 300*time.Millisecond, patience)
		// One that hits it while it makes its threads has it abort (erts: "Failed to create scheduler thread, error
		// = 4", EINTR). What may not be is that the budget runs out and it is killed.
		if exit.Signal == unix.SIGKILL || exit.Signal == 0 && exit.Code != 0 {
			t.Errorf("TERM after %d ms: %v", moment, exit)
		}
	}
}

func TestStopKillsAProcessThatIgnoresTermWhenItsTimeIsUp(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for _, c := range []struct {
		when string
		stop func(*Process) Exit
	}{
		{"after its budget", func(p *Process) Exit { return p.Stop(t.Context(), time.Millisecond, 100*time.Millisecond) }},
		{"when the context ends", func(p *Process) Exit {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			return p.Stop(ctx, 0, patience)
		}},
	} {
		ready := filepath.Join(t.TempDir(), "ready")
		p := start(t, i, fmt.Sprintf("trap '' TERM; echo now >%s; while :; do sleep 1; done", ready))
		written(t, ready)
		begun := time.Now()
		if got, want := c.stop(p), (Exit{Signal: unix.SIGKILL}); got != want {
			t.Errorf("%s: %v, want %v", c.when, got, want)
		}
		if took := time.Since(begun); took < 100*time.Millisecond || took > patience {
			t.Errorf("%s: after %v", c.when, took)
		}
	}
}

func TestSweepEndsThePortProgramsOfADeadNodeAndNothingElse(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	dir := t.TempDir()
	port := func(script, ready string) string {
		return fmt.Sprintf(`open_port({spawn_executable,"/bin/sh"},[nouse_stdio,{args,["-c","%s; echo $$ >%s; while :; do sleep 1000; done"]}])`,
			script, filepath.Join(dir, ready))
	}
	node := erl(t, i, port(":", "mild")+","+port("trap '' TERM HUP", "stubborn"), "NODE_MARK=old")
	other := start(t, i, "exec sleep 1000")
	written(t, filepath.Join(dir, "mild"))
	written(t, filepath.Join(dir, "stubborn"))
	if err := node.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	node.Exit()
	if left, _ := leftovers("NODE_MARK=old", ""); len(left) < 2 {
		t.Fatalf("the port programs have not outlived the node: %v", left)
	}
	begun := time.Now()
	if n := i.Sweep(t.Context(), "NODE_MARK=old"); n < 2 {
		t.Errorf("%d processes swept", n)
	}
	if took := time.Since(begun); took < sweepGrace {
		t.Errorf("the stubborn one was killed after only %v", took)
	}
	eventually(t, "only the other one is left", func() bool {
		left := children()
		return len(left) == 1 && left[0] == other.Pid()
	})
}

func TestWhatALeftoverStartsToCleanUpIsLetFinish(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	file := filepath.Join(t.TempDir(), "clean")
	p, err := i.Start(Command{
		Path: "/bin/sh", Env: []string{"PATH=/bin:/usr/bin", "NODE_MARK=old"},
		Args: []string{"sh", "-c", "(trap 'sleep 0.2; sh -c \"echo clean >" + file + "\"; exit' TERM; while :; do sleep 0.05; done) & exit 0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Exit()
	eventually(t, "it is at work", func() bool { left, _ := leftovers("NODE_MARK=old", ""); return len(left) == 2 })
	i.sweep(t.Context(), "NODE_MARK=old", patience) // in two seconds a slow machine may not be done
	if content, err := os.ReadFile(file); err != nil || string(content) != "clean\n" {
		t.Errorf("its cleanup was not finished: %q, %v", content, err)
	}
}

// As with docker run --user 1000 --cap-drop ALL --security-opt no-new-privileges.
func TestSweepNeedsNoPrivilege(t *testing.T) {
	binary := filepath.Join(os.TempDir(), fmt.Sprintf("signals-test-%d", os.Getpid()))
	if os.Getenv("THESEUS_TEST_PID1") == "" {
		tool(t, "setpriv")
		t.Cleanup(func() { os.Remove(binary) })
	}
	if !asPID1(t, "install -m 755 \"$0\" "+binary, "exec setpriv --reuid 1000 --regid 1000 --clear-groups "+
		"--bounding-set=-all --inh-caps=-all --no-new-privs "+binary+" \"$@\"") {
		return
	}
	if os.Getuid() != 1000 {
		t.Fatal("not an ordinary user")
	}
	i, _ := running(t)
	p, err := i.Start(Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", "setsid sleep 1000 & exit 3"},
		Env: []string{"PATH=/bin:/usr/bin", "NODE_MARK=old"}, NofileSoft: 512,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Exit(), (Exit{Code: 3}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if n := i.Sweep(t.Context(), "NODE_MARK=old"); n != 1 {
		t.Errorf("%d processes swept", n)
	}
	eventually(t, "nothing is left", func() bool { return len(children()) == 0 })
}

func TestSweepSparesEpmdAndOtherNodes(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	epmd := filepath.Join(t.TempDir(), "epmd")
	if err := os.Symlink(tool(t, "sleep"), epmd); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []Command{
		{Path: epmd, Args: []string{"epmd", "1000"}, Env: []string{"NODE_MARK=old"}},
		{Path: tool(t, "sleep"), Args: []string{"sleep", "1000"}, Env: []string{"NODE_MARK=older"}},
	} {
		p, err := i.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		if n := i.Sweep(t.Context(), "NODE_MARK=old"); n != 0 || deadChild() == p.Pid() {
			t.Errorf("%s is swept, %d in all", cmd.Args[0], n)
		}
	}
}

// As with a container, in which nothing outlives PID 1.
func TestKillEndsAllOfAMarkAtOnce(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	epmd := filepath.Join(t.TempDir(), "epmd")
	if err := os.Symlink(tool(t, "sleep"), epmd); err != nil {
		t.Fatal(err)
	}
	daemon, err := i.Start(Command{Path: epmd, Args: []string{"epmd", "1000"}, Env: []string{"NODE_MARK=old"}})
	if err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(t.TempDir(), "ready")
	stubborn, err := i.Start(Command{
		Path: "/bin/sh", Env: []string{"PATH=/bin:/usr/bin", "NODE_MARK=old"},
		Args: []string{"sh", "-c", "trap '' TERM; echo now >" + ready + "; while :; do sleep 1; done"},
	})
	if err != nil {
		t.Fatal(err)
	}
	other := start(t, i, "exec sleep 1000")
	written(t, ready)
	if !i.Kill(t.Context(), "NODE_MARK=old") {
		t.Error("not all of it is gone")
	}
	for _, p := range []*Process{daemon, stubborn} {
		if got, want := p.Exit(), (Exit{Signal: unix.SIGKILL}); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	eventually(t, "only the other one is left", func() bool {
		left := children()
		return len(left) == 1 && left[0] == other.Pid()
	})
}

// So it is with docker exec and with other containers of the namespace: their processes come from elsewhere,
// whatever they have in their environment.
func TestSweepSparesWhatDescendsFromOthers(t *testing.T) {
	if !asPID1(t, "NODE_MARK=old sleep 1000 &", `"$0" "$@"`, "exit $?") {
		return
	}
	i, _ := running(t)
	eventually(t, "the other's process is in sight", func() bool {
		for _, pid := range processes() {
			if marked, _ := hasEnv(pid, "NODE_MARK=old"); marked && command(pid) == "sleep" {
				return true
			}
		}
		return false
	})
	if n := i.Sweep(t.Context(), "NODE_MARK=old"); n != 0 {
		t.Errorf("%d processes swept", n)
	}
}
