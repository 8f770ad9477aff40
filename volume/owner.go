package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ownership says whose the root is, as whom the agent runs, and the command that mends it, for a refusal by the kernel:
// a directory of the host that is mounted belongs to whoever made it there.
func ownership(root string, err error) string {
	uid, gid := os.Geteuid(), os.Getegid()
	path := root
	if at, is := errors.AsType[*fs.PathError](err); is {
		path = nearest(at.Path)
	}
	text := fmt.Sprintf("the agent runs as uid %d", uid)
	if info, statErr := os.Stat(path); statErr == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			text = fmt.Sprintf("%s belongs to uid %d and has mode %04o, %s", path, stat.Uid, info.Mode().Perm(), text)
		}
	}
	text += fmt.Sprintf(": chown -R %d:%d %s", uid, gid, root)
	if source := mountedFrom(root); source != "" {
		text += fmt.Sprintf(", which is %s on the host's file system", source)
	}
	return text
}

// nearest is the path, or what is there of its parents.
func nearest(path string) string {
	for path != "/" {
		if _, err := os.Lstat(path); err == nil {
			return path
		}
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
	}
	return path
}

// mountedFrom is the directory that is mounted at a path, within its own file system (proc(5), mountinfo: fields 4 and
// 5). It is empty where nothing is, or all of a file system.
func mountedFrom(path string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	var source string
	for line := range strings.Lines(string(table)) {
		if field := strings.Fields(line); len(field) > 4 && field[4] == path && field[3] != "/" {
			source = field[3]
		}
	}
	return source
}
