package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// change is a call that changes the volume, or makes a change durable.
type change struct {
	op   string
	path string // below the volume
	to   string // of a rename
	step string // what the agent has told last
	nth  int    // of its operation
}

// String names the change as it is the same in each run.
func (c change) String() string {
	s := c.op + " " + anonymous(c.path)
	if c.to != "" {
		s += " to " + anonymous(c.to)
	}
	return s
}

var identities = regexp.MustCompile(`[0-9a-f]{64}|\b[0-9a-f]{16}\b`)

func anonymous(path string) string { return identities.ReplaceAllString(path, "ID") }

// ofState says that the change is a part of a write of the state.
func (c change) ofState() bool {
	return strings.HasPrefix(c.path, ".agent/.state.json") || c.path == ".agent" && c.op == "fsync"
}

// onFile are the calls whose subject is an open file; the value is the number of the argument that has it.
var onFile = map[uint64]struct {
	op  string
	arg int
}{
	unix.SYS_WRITE: {"write", 0}, unix.SYS_PWRITE64: {"pwrite", 0}, unix.SYS_WRITEV: {"writev", 0}, unix.SYS_PWRITEV: {"pwritev", 0},
	unix.SYS_SENDFILE: {"sendfile", 0}, unix.SYS_COPY_FILE_RANGE: {"copy_file_range", 2}, unix.SYS_SPLICE: {"splice", 2},
	unix.SYS_FTRUNCATE: {"ftruncate", 0}, unix.SYS_FALLOCATE: {"fallocate", 0}, unix.SYS_FCHMOD: {"fchmod", 0}, unix.SYS_FCHOWN: {"fchown", 0},
	unix.SYS_FSYNC: {"fsync", 0}, unix.SYS_FDATASYNC: {"fdatasync", 0}, unix.SYS_SYNCFS: {"syncfs", 0}, unix.SYS_CLOSE: {"close", 0},
	unix.SYS_FSETXATTR: {"fsetxattr", 0},
}

// onName are the calls whose subject is a name: the numbers of the arguments with its directory and of the second name's.
var onName = map[uint64]struct {
	op         string
	dir, other int
}{
	unix.SYS_OPENAT: {"open", 0, -1}, unix.SYS_MKDIRAT: {"mkdir", 0, -1}, unix.SYS_UNLINKAT: {"unlink", 0, -1},
	unix.SYS_RENAMEAT: {"rename", 0, 2}, unix.SYS_RENAMEAT2: {"rename", 0, 2}, unix.SYS_LINKAT: {"link", 0, 2},
	unix.SYS_SYMLINKAT: {"symlink", 1, -1}, unix.SYS_FCHMODAT: {"chmod", 0, -1}, unix.SYS_FCHOWNAT: {"chown", 0, -1},
	unix.SYS_UTIMENSAT: {"utimens", 0, -1}, unix.SYS_MKNODAT: {"mknod", 0, -1},
}

// changeOf tells what a call is about to change on the volume; nil is nothing.
func (t *tracer) changeOf(c *call, volume string) *change {
	if f, ok := onFile[c.number]; ok {
		fd := int(int32(c.args[f.arg]))
		path, below := within(volume, t.file(fd))
		if !below || c.number == unix.SYS_CLOSE && !t.writable(fd) {
			return nil
		}
		return &change{op: f.op, path: path}
	}
	n, ok := onName[c.number]
	if !ok || c.number == unix.SYS_OPENAT && c.args[2]&(unix.O_ACCMODE|unix.O_CREAT|unix.O_TRUNC) == 0 {
		return nil
	}
	path, below := within(volume, t.name(c, n.dir))
	if n.other < 0 {
		if !below {
			return nil
		}
		return &change{op: n.op, path: path}
	}
	to, lands := within(volume, t.name(c, n.other))
	if !below && !lands {
		return nil
	}
	return &change{op: n.op, path: path, to: to}
}

func within(volume, path string) (string, bool) {
	rest, err := filepath.Rel(volume, path)
	return rest, err == nil && rest != ".." && !strings.HasPrefix(rest, "../")
}

func (t *tracer) file(fd int) string {
	path, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", t.agent, fd))
	return path
}

// name is a path out of two arguments: a directory, and a name in there.
func (t *tracer) name(c *call, dir int) string {
	path := t.text(c.args[dir+1])
	if filepath.IsAbs(path) {
		return path
	}
	if fd := int(int32(c.args[dir])); fd != unix.AT_FDCWD {
		return filepath.Join(t.file(fd), path)
	}
	cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", t.agent))
	return filepath.Join(cwd, path)
}

// writable says that a file was opened for writing.
func (t *tracer) writable(fd int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", t.agent, fd))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, _ := strconv.ParseUint(strings.TrimSpace(value), 8, 64)
			return flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}
