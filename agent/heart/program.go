package heart

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Variable is in the environment of a node, and names its incarnation.
const Variable = "AGENT_INCARNATION"

// Program is the name that the node starts its heart by.
const Program = "heart"

const (
	socketName  = "heart.sock"
	handTimeout = 5 * time.Second
)

// Bindir makes a directory for the node's BINDIR, where it looks for its programs: links to those of the ERTS at bin,
// among which heart is this program.
func Bindir(dir, bin string) error {
	programs, err := os.ReadDir(bin)
	if err != nil {
		return fmt.Errorf("cannot find the programs of the ERTS: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the agent's own program: %w", err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return fmt.Errorf("cannot make the node's BINDIR: %w", err)
	}
	err = os.Symlink(self, filepath.Join(dir, Program))
	for _, p := range programs {
		if p.Name() != Program {
			err = errors.Join(err, os.Symlink(filepath.Join(bin, p.Name()), filepath.Join(dir, p.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot fill the node's BINDIR: %w", err)
	}
	return nil
}

// Main is the program that a node starts as its heart. It hands its standard input and output to the agent, and is
// not needed any more: the port lives for as long as its pipes do, because kernel opens it without exit_status. The
// node does not boot where that fails, and says so itself.
func Main(env func(string) string, stderr io.Writer) int {
	if err := handOver(filepath.Join(env("BINDIR"), socketName), env(Variable)); err != nil {
		fmt.Fprintln(stderr, "heart: cannot reach the agent:", err)
		return 1
	}
	return 0
}

func handOver(socket, incarnation string) error {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(handTimeout)); err != nil {
		return err
	}
	_, _, err = c.WriteMsgUnix([]byte(incarnation), unix.UnixRights(unix.Stdin, unix.Stdout), nil)
	return err
}
