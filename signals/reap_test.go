package signals

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAnOrphanIsReapedWhenItDies(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	hold, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := i.Start(Command{Path: "/bin/sh", Args: []string{"sh", "-c", "exec 3<&0; cat <&3 &"}, Stdin: hold})
	if err != nil {
		t.Fatal(err)
	}
	hold.Close()
	p.Exit()
	eventually(t, "the orphan is ours", func() bool { return len(children()) == 1 })
	release.Close()
	eventually(t, "it is reaped", func() bool { return len(children()) == 0 && i.Orphans() > 0 })
}

func TestReapingStealsNoStatusFromCommandsBesideOrphans(t *testing.T) {
	if !asPID1(t) {
		return
	}
	const orphans, commands, atOnce = 10000, 1200, 8
	i, _ := running(t)
	p := start(t, i, fmt.Sprintf("n=0; while [ $n -lt %d ]; do (true &); n=$((n+1)); done; exit 7", orphans))

	next := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for n := range next {
				if err := exitsWith(n % 256); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range commands {
		next <- n
	}
	close(next)
	workers.Wait()
	if got, want := p.Exit(), (Exit{Code: 7}); got != want {
		t.Errorf("the supervised process: %v, want %v", got, want)
	}
	eventually(t, "all orphans are reaped", func() bool { return i.Orphans() == orphans && len(children()) == 0 })
}

// exitsWith runs a command that exits with code, and tells if os/exec saw anything else.
func exitsWith(code int) error {
	err := exec.Command("/bin/sh", "-c", fmt.Sprintf("exit %d", code)).Run()
	var exit *exec.ExitError
	switch {
	case err == nil && code == 0:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == code:
		return nil
	}
	return fmt.Errorf("exit %d: os/exec says %w", code, err)
}

func TestOrphanBehindACommandNobodyWaitsForYetIsReaped(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	helper := exec.Command("/bin/true")
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the helper is dead", func() bool { return deadChild() == helper.Process.Pid })
	start(t, i, "(true &); (true &)").Exit()
	eventually(t, "both orphans are reaped", func() bool { return i.Orphans() == 2 })
	if err := helper.Wait(); err != nil {
		t.Error(err)
	}
}

// A helper's own children stay in its group, which is the agent's.
func TestWhatAHelperLeavesIsReapedAndItsOwnStatusIsNot(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for n := range 20 {
		helper := exec.Command("/bin/sh", "-c", "(sleep 1000 &); echo ready; exec sleep 1000")
		ready, err := helper.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := helper.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(ready, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(helper.Process.Pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for _, pid := range children() {
			if pid != helper.Process.Pid {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		eventually(t, "the helper alone is left", func() bool { return i.Orphans() == uint64(n+1) && len(children()) == 1 })
		if err := helper.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Errorf("os/exec says %v", err)
		}
	}
}

// The pid of a dead process is given to another one.
func TestNoProcessIsSignalledForTheSakeOfItsPid(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	var dead, next *Process
	for range 100 { // a thread of this process may take it first, and keep it
		dead = start(t, i, "exit 0")
		dead.Exit()
		if os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(dead.Pid()-1)), 0) != nil {
			missing(t, "a kernel that lets the next pid be chosen (ns_last_pid)")
		}
		if next = start(t, i, "exec sleep 1000"); next.Pid() == dead.Pid() {
			break
		}
		_ = next.Signal(unix.SIGKILL)
		next.Exit()
	}
	if next.Pid() != dead.Pid() {
		t.Fatalf("pid %d was not given again", dead.Pid())
	}
	if err := dead.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if got, want := dead.Stop(t.Context(), time.Millisecond, time.Millisecond), (Exit{}); got != want {
		t.Errorf("the dead one: %v", got)
	}
	if err := next.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if got, want := next.Exit(), (Exit{Signal: unix.SIGTERM}); got != want {
		t.Errorf("the one that lives: %v, want %v", got, want)
	}
}

func TestTheEndOfAProcessAndOfAHundredOrphansAtOnceIsToldApart(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	dir := t.TempDir()
	for n := range 60 {
		p := start(t, i, fmt.Sprintf(`f=%s; mkfifo $f; exec 3<>$f 4<$f 5>$f 3>&-; rm $f
			n=0; while [ $n -lt 100 ]; do (read x <&4) 5>&- & n=$((n+1)); done; exit %d`, filepath.Join(dir, "fifo"), n))
		if got, want := p.Exit(), (Exit{Code: n}); got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	eventually(t, "all are reaped", func() bool { return i.Orphans() == 60*100 && len(children()) == 0 })
}

func TestOutsidePID1OrphansComeToTheSubreaper(t *testing.T) {
	if os.Getenv("THESEUS_TEST_PID1") == "" {
		rerun(t, nil) // a process of its own, since to be a subreaper is for life
		return
	}
	if os.Getpid() == 1 {
		t.Fatal("this is PID 1")
	}
	i, _ := running(t)
	start(t, i, "(true &)").Exit()
	eventually(t, "the orphan is reaped", func() bool { return i.Orphans() == 1 && len(children()) == 0 })
}
