package crash

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cell is an OS thread with a network and mounts of its own, so that several agents, whose demo services have the same
// ports, run side by side, and nothing stays mounted. All that it starts are children of this thread.
type cell struct {
	*kit
	dir   string // a tmpfs
	pids  *os.File
	taken int // names
}

// inCell does something in a new cell, and returns when it has ended. The thread ends with it.
func inCell(k *kit, do func(*cell) error) error {
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // and never again unlocked
		c, err := newCell(k)
		if err == nil {
			err = do(c)
			c.pids.Close()
		}
		ended <- err
	}()
	return <-ended
}

func newCell(k *kit) (*cell, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot make a cell: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("cannot make the mounts private: %w", err)
	}
	dir, err := os.MkdirTemp(k.dir, "cell")
	if err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return nil, fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	pids, err := os.Open("/proc/thread-self/ns/pid")
	if err != nil {
		return nil, err
	}
	return &cell{kit: k, dir: dir, pids: pids}, loopbackUp()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// process is what a cell starts.
type process struct {
	words  []string
	env    []string
	files  []*os.File // from 0 on
	spaces uintptr    // new ones
	pids   *os.File   // the PID namespace to be in; nil is the cell's own, or the new one
}

func (c *cell) start(p process) (pid int, err error) {
	path, err := exec.LookPath(p.words[0])
	if err != nil {
		return 0, err
	}
	if p.pids != nil {
		if err := unix.Setns(int(p.pids.Fd()), unix.CLONE_NEWPID); err != nil {
			return 0, fmt.Errorf("cannot enter a PID namespace: %w", err)
		}
		defer func() { _ = unix.Setns(int(c.pids.Fd()), unix.CLONE_NEWPID) }()
	}
	var fds []uintptr
	for _, f := range p.files {
		fds = append(fds, f.Fd())
	}
	return syscall.ForkExec(path, p.words, &syscall.ProcAttr{Env: p.env, Files: fds, Sys: &syscall.SysProcAttr{Cloneflags: p.spaces}})
}

// tool runs a program to its end.
func (c *cell) tool(words ...string) error {
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", words, err, out)
	}
	return nil
}

// name is a path in the cell that was not used before.
func (c *cell) name(what string) string {
	c.taken++
	return filepath.Join(c.dir, fmt.Sprint(what, c.taken))
}

// copyOf copies a volume.
func (c *cell) copyOf(volume string) (string, error) {
	path := c.name("volume")
	if volume == "" {
		return path, os.Mkdir(path, 0o755)
	}
	return path, c.tool("cp", "-a", volume, path)
}

// serves asks the demo service itself for its version.
func (c *cell) serves() (string, error) {
	conn, err := net.DialTimeout("tcp4", "127.0.0.1:8080", patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /version HTTP/1.0\r\n\r\n"); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return body(string(answer)), err
}
