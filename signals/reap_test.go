package signals

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

func TestOrphanIsReapedSoonAfterItDies(t *testing.T) {
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
	died := time.Now()
	release.Close()
	eventually(t, "it is reaped", func() bool { return len(children()) == 0 && i.Orphans() > 0 })
	if took := time.Since(died); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestReapingStealsNoStatusFromCommandsBesideOrphans(t *testing.T) {
	if !asPID1(t) {
		return
	}
	const orphans, commands, atOnce = 2000, 200, 8
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
