package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// nodeOOMScore is added to the node's oom_score_adj, in thousandths of the memory. Raising it needs no privilege. The
// node is the bigger of the two anyway; this settles it, and its port programs inherit it.
const nodeOOMScore = 50

// preferNode has the kernel choose the node before the agent when memory runs out. Where it cannot be told so, the
// sizes of the two decide.
func preferNode(pid int) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj")
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if score, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = os.WriteFile(path, []byte(strconv.Itoa(min(score+nodeOOMScore, 1000))), 0)
	}
}

// oomKills is how many processes of this container the kernel has killed for want of memory, by the counter of its
// control group: version 2 has it in memory.events, version 1 in memory.oom_control. It is 0 where neither is there.
func oomKills(root string) int {
	for _, file := range oomFiles(root) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			if count, found := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); found {
				n, _ := strconv.Atoi(string(count))
				return n
			}
		}
	}
	return 0
}

// oomFiles are where the counter may be, below root. A container sees its own group at the mount point, unless it shares
// the host's view; then the path of its group is in /proc/self/cgroup (cgroups(7)).
func oomFiles(root string) []string {
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	mount := filepath.Join(root, "sys/fs/cgroup")
	var files []string
	for line := range strings.Lines(string(groups)) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(field) != 3:
		case field[0] == "0" && field[1] == "":
			files = append(files, filepath.Join(mount, field[2], "memory.events"))
		case strings.Contains(","+field[1]+",", ",memory,"):
			files = append(files, filepath.Join(mount, "memory", field[2], "memory.oom_control"))
		}
	}
	return append(files, filepath.Join(mount, "memory.events"), filepath.Join(mount, "memory", "memory.oom_control"))
}
