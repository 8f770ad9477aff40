package signals

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// children are the pids of all children of this process, dead ones too; each thread has a list.
func children() []int {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	var pids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended, another one inherits its children
		}
		pids = append(pids, numbers(strings.Fields(string(text)))...)
	}
	return pids
}

// Resident is what a process has in memory, bytes ("VmRSS: 1234 kB", proc(5)).
func Resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmRSS:"))
	field := bytes.Fields(rest)
	if len(field) == 0 {
		return 0, fmt.Errorf("cannot read how much memory process %d has", pid)
	}
	kB, err := strconv.ParseInt(string(field[0]), 10, 64)
	return kB << 10, err
}

// held says whether this process holds a pidfd of pid. One that it started has it from its first moment (clone(2),
// CLONE_PIDFD). What cannot be told is taken to be held.
func held(pid int) bool {
	files, _ := filepath.Glob("/proc/self/fdinfo/*")
	line := fmt.Appendf(nil, "\nPid:\t%d\n", pid)
	for _, file := range files {
		if info, err := os.ReadFile(file); err == nil && bytes.Contains(info, line) {
			return true
		}
	}
	return len(files) == 0
}

// closeOnExec marks all open files but the three standard ones, for whoever started the agent may have left
// some open. What Go opens is marked anyway.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	// A kernel before 5.11, or a seccomp profile that does not know it.
	files, _ := os.ReadDir("/proc/self/fd")
	for _, file := range files {
		if fd, err := strconv.Atoi(file.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// processes are the pids of every process in sight.
func processes() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	return numbers(names)
}

func numbers(words []string) []int {
	var list []int
	for _, word := range words {
		if n, err := strconv.Atoi(word); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// parent is the pid of the parent of pid, and whether pid is alive. The parent is 0 when it is outside this
// PID namespace, or when pid is gone altogether.
func parent(pid int) (ppid int, alive bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// "PID (COMMAND) STATE PPID …", where the command may hold spaces and parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0, false
	}
	ppid, err = strconv.Atoi(fields[1])
	return ppid, err == nil && fields[0] != "Z" && fields[0] != "X"
}

// Within says whether pid is alive, and is the process root or descends from it.
func Within(pid, root int) bool {
	above, alive := parent(pid)
	for alive && pid > 0 && pid != root {
		pid = above
		above, _ = parent(above)
	}
	return alive && pid == root
}

// command is the name of the program that pid runs, at most 15 bytes of it; empty when it has ended.
func command(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSuffix(string(comm), "\n")
}

// hasEnv says whether pid was started with this NAME=VALUE in its environment, and whether that can be told:
// the environment is hidden while a process changes its program, and from an agent of another user.
func hasEnv(pid int, variable string) (has, known bool) {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(environ) == 0 {
		return false, false
	}
	return bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+variable+"\x00")), true
}
