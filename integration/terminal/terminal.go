// Package terminal is a terminal for tests: what a person types and sees.
package terminal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Keys.
const (
	CtrlC = "\x03"
	CtrlD = "\x04"
	CtrlG = "\x07"
	CtrlZ = "\x1a"
	Tab   = "\t"
	Enter = "\r"
	Up    = "\x1b[A"
)

// patience is how long what is to be seen may take on a loaded machine.
const patience = 3 * time.Minute

// Terminal is the far end of one, and the near end for a program.
type Terminal struct {
	Far, Near *os.File

	t    testing.TB
	mu   sync.Mutex
	text strings.Builder
	seen int // of text, by Shows
}

// Open makes a terminal, and closes it with the test.
func Open(t testing.TB) *Terminal {
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
	c := &Terminal{Far: far, Near: near, t: t}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read()
	}()
	t.Cleanup(func() {
		near.Close()
		<-read
		far.Close()
	})
	return c
}

// read ends with EIO, when nobody has the terminal any more.
func (c *Terminal) read() {
	for buf := make([]byte, 4096); ; {
		n, err := c.Far.Read(buf)
		c.mu.Lock()
		c.text.Write(buf[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Start runs a command on the terminal, and ends it with the test.
func (c *Terminal) Start(cmd *exec.Cmd) *exec.Cmd {
	c.t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Near, c.Near, c.Near
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// Types types.
func (c *Terminal) Types(text string) {
	c.t.Helper()
	if _, err := c.Far.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// Shows waits until text has come, behind what was waited for before.
func (c *Terminal) Shows(text string) {
	c.t.Helper()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(patience); !c.shows(text); <-look.C {
		if time.Now().After(deadline) {
			c.t.Fatalf("the terminal does not show %q within %s; it shows %q", text, patience, c.All())
		}
	}
}

func (c *Terminal) shows(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := strings.Index(c.text.String()[c.seen:], text)
	if i >= 0 {
		c.seen += i + len(text)
	}
	return i >= 0
}

// All is all that came.
func (c *Terminal) All() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}
