package signals

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestEveryExitCodePasses(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for code := range 256 {
		exit := start(t, i, fmt.Sprintf("exit %d", code)).Exit()
		if want := (Exit{Code: code}); exit != want || exit.Status() != code {
			t.Errorf("exit %d: %v, status %d", code, exit, exit.Status())
		}
	}
}

func TestDeathBySignalPassesAs128AndItsNumber(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGTERM, unix.SIGKILL, unix.SIGUSR2, 40} {
		exit := start(t, i, fmt.Sprintf("kill -%d $$", int(sig))).Exit()
		if want := (Exit{Signal: sig}); exit != want || exit.Status() != 128+int(sig) {
			t.Errorf("%v: %v, status %d", sig, exit, exit.Status())
		}
	}
}

func TestExitReadsLikeWords(t *testing.T) {
	for want, exit := range map[string]Exit{
		"exit status 3":                   {Code: 3},
		"killed by SIGKILL":               {Signal: unix.SIGKILL},
		"killed by SIGSEGV (core dumped)": {Signal: unix.SIGSEGV, CoreDumped: true},
		"killed by signal 40":             {Signal: 40},
		"exit status unknown":             {Code: unknown},
	} {
		if got := exit.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestProgramThatCannotStartSaysWhichAndWhy(t *testing.T) {
	i, _ := running(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cmd  Command
		text string
		is   error
	}{
		{Command{Path: "/no/such"}, "cannot start /no/such: no such file or directory", fs.ErrNotExist},
		{Command{Path: plain}, "cannot start " + plain + ": permission denied", fs.ErrPermission},
		{Command{Path: garbage}, "cannot start " + garbage + ": exec format error", syscall.ENOEXEC},
		{Command{Path: "/bin/true", Dir: "/no/such"}, "cannot start /bin/true: stat /no/such: no such file or directory", fs.ErrNotExist},
	} {
		_, err := i.Start(c.cmd)
		if !errors.Is(err, c.is) || err.Error() != c.text {
			t.Errorf("got %v, want %s", err, c.text)
		}
	}
}

// TestProgramThatAnotherChildHasOpenForAMomentIsStarted: one that is between its fork and its program has what was being written then.
func TestProgramThatAnotherChildHasOpenForAMomentIsStarted(t *testing.T) {
	i, _ := running(t)
	path := filepath.Join(t.TempDir(), "program")
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err == nil {
		_, err = file.WriteString("#!/bin/sh\nexit 3\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { file.Close() })
	p, err := i.Start(Command{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Exit(); got.Code != 3 {
		t.Errorf("it ends with %s", got)
	}
}

func TestProcessGetsItsArgumentsEnvironmentAndDirectory(t *testing.T) {
	i, _ := running(t)
	dir := t.TempDir()
	got := output(t, i, Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", `echo "$1 $COLOUR $(/bin/pwd)"; cat`, "sh", "an argument"},
		Env: []string{"COLOUR=blue"}, Dir: dir,
	})
	if want := "an argument blue " + dir + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProcessInheritsNoFileButTheStandardOnes(t *testing.T) {
	if !asPID1(t, "exec 5</dev/null 9>&1") {
		return
	}
	i, _ := running(t)
	got := output(t, i, Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo /proc/self/fd/*"}})
	// The glob has the directory itself open.
	if want := "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProcessLeadsASessionOfItsOwn(t *testing.T) {
	i, _ := running(t)
	p := start(t, i, "kill -STOP $$")
	defer func() { _ = p.Signal(unix.SIGKILL); p.Exit() }()
	if sid, err := unix.Getsid(p.Pid()); err != nil || sid != p.Pid() {
		t.Errorf("session %d, %v", sid, err)
	}
}

// What the agent was started with must not reach the node: a blocked TERM could not stop it.
func TestProcessStartsWithCleanSignalMaskAndDispositions(t *testing.T) {
	if os.Getenv("THESEUS_TEST_PID1") == "" {
		runtime.LockOSThread() // children start with the mask of the thread that forks
		defer runtime.UnlockOSThread()
		var blocked, before unix.Sigset_t
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGUSR1, unix.SIGCHLD} {
			blocked.Val[0] |= 1 << (sig - 1)
		}
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, &blocked, &before); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) }()
	}
	if !asPID1(t, "trap '' HUP INT TERM USR2 PIPE CHLD") {
		return
	}
	i, _ := running(t)
	status := output(t, i, Command{Path: "/bin/cat", Args: []string{"cat", "/proc/self/status"}})
	var got []string
	for line := range strings.Lines(status) {
		if strings.HasPrefix(line, "SigBlk") || strings.HasPrefix(line, "SigIgn") {
			name, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			got = append(got, name+" "+mask)
		}
	}
	if diff := cmp.Diff([]string{"SigBlk 0000000000000000", "SigIgn 0000000000000000"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	kill(t, unix.SIGTERM)
	receive(t, i)
}

func TestNofileCapOnlyLowersAndOnlyTheProcess(t *testing.T) {
	for _, c := range []struct{ container, cap, want string }{
		{"1024:4096", "0", "1024:4096"}, // not what the Go runtime raised it to
		{"1024:4096", "2000", "1024:4096"},
		{"4096:4096", "2000", "2000:4096"},
		{"3000:4096", "2000", "2000:4096"},
		{"4096:4096", "0", "4096:4096"},
	} {
		t.Run(c.container+" capped at "+c.cap, func(t *testing.T) {
			soft, hard, _ := strings.Cut(c.container, ":")
			if !asPID1(t, "ulimit -Sn "+soft, "ulimit -Hn "+hard) {
				return
			}
			i, _ := running(t)
			limit, err := strconv.ParseUint(c.cap, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			show := Command{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $(ulimit -Sn):$(ulimit -Hn)"}}
			capped := show
			capped.NofileSoft = limit
			got := []string{output(t, i, capped), output(t, i, show)}
			if diff := cmp.Diff([]string{c.want + "\n", c.container + "\n"}, got); diff != "" {
				t.Errorf("capped, then uncapped (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignalToAnEndedProcessIsNoError(t *testing.T) {
	i, _ := running(t)
	p := start(t, i, "exit 0")
	p.Exit()
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Error(err)
	}
}
