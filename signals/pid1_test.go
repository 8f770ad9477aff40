package signals

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for a fact on a loaded machine.
const patience = 3 * time.Minute

// asPID1 runs the calling test once more as PID 1 of a PID namespace of its own, with a procfs to match, so
// that it is the real thing and leaves nothing behind. It returns true there; outside it reports what
// happened there and returns false. The shell lines of prelude come first.
func asPID1(t *testing.T, prelude ...string) bool {
	t.Helper()
	if os.Getenv("THESEUS_TEST_PID1") == t.Name() {
		return true
	}
	rerun(t, &syscall.SysProcAttr{
		Setsid:       true,
		Cloneflags:   unix.CLONE_NEWPID,
		Unshareflags: unix.CLONE_NEWNS, // with this one Go makes the mounts private first
	}, append([]string{"mount -t proc proc /proc"}, prelude...)...)
	return false
}

func rerun(t *testing.T, attr *syscall.SysProcAttr, prelude ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "root, for a PID namespace")
	}
	script := strings.Join(append(prelude, `exec "$0" "$@"`), "\n")
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script,
		os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=8m")
	cmd.Env = append(os.Environ(), "THESEUS_TEST_PID1="+t.Name())
	cmd.SysProcAttr = attr
	output, err := cmd.CombinedOutput()
	switch {
	case err != nil:
		t.Fatalf("as PID 1: %v\n%s", err, output)
	case bytes.Contains(output, []byte("--- SKIP")):
		t.Skipf("as PID 1:\n%s", output)
	}
}

// missing skips the test for want of something; where CI=true it fails instead.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s", what)
	}
	t.Skipf("needs %s", what)
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

// running is an Init that runs until the test ends, and what it has logged.
func running(t *testing.T) (*Init, *logged) {
	t.Helper()
	log := &logged{}
	init, err := New(slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- init.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return init, log
}

// start starts a command line with /bin/sh.
func start(t *testing.T, i *Init, script string) *Process {
	t.Helper()
	p, err := i.Start(Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Stderr: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// output is what a command writes to its stdout until it ends.
func output(t *testing.T, i *Init, cmd Command) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "output")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout = file
	p, err := i.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Exit(); exit != (Exit{}) {
		t.Fatalf("%s: %v", cmd.Path, exit)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually waits until fact holds.
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
