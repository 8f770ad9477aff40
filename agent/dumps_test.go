package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/printable"
)

func dumpAt(t *testing.T, d dumps, minute int, size int64) string {
	t.Helper()
	path := d.path(time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC))
	write(t, path, "=erl_crash_dump:0.5\nFri Jan  2\nSlogan: boom\n  and more\nSystem version: Erlang\n")
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func left(t *testing.T, d dumps) (names []string) {
	t.Helper()
	list, err := os.ReadDir(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(e.Name(), "erl_crash-20260102T03"), "00.000.dump"))
	}
	return names
}

func TestOfTooManyCrashDumpsTheOldestGoAndTheFirstOfARowStays(t *testing.T) {
	d := dumps{t.TempDir()}
	var all []string
	for minute := range 8 {
		all = append(all, dumpAt(t, d, minute, 100))
	}
	if err := d.tidy(all[1]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"01", "05", "06", "07"}, left(t, d)); diff != "" {
		t.Error(diff)
	}
}

func TestOfTooBigCrashDumpsTheOldestGo(t *testing.T) {
	d := dumps{t.TempDir()}
	for minute := range 3 {
		dumpAt(t, d, minute, dumpBytes/2)
	}
	if err := d.tidy(""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"01", "02"}, left(t, d)); diff != "" {
		t.Error(diff)
	}
}

func TestTheSloganOfADumpIsOneLine(t *testing.T) {
	d := dumps{t.TempDir()}
	if got, there := slogan(dumpAt(t, d, 0, 90), time.Time{}); got != "boom and more" || !there {
		t.Errorf("%q, %v", got, there)
	}
	forged := d.path(time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC))
	write(t, forged, "=erl_crash_dump:0.5\nSlogan: \x1b[2J\u202ex"+strings.Repeat("ü", 1000)+"\nSystem version: Erlang\n")
	if got, _ := slogan(forged, time.Time{}); got != printable.Text(got) || !strings.HasPrefix(got, `\x1b[2J\u202exü`) || len(got) > 1000 {
		t.Errorf("%q", got)
	}
	if _, there := slogan(filepath.Join(d.dir, "none"), time.Time{}); there {
		t.Error("there is no dump")
	}
	if _, there := slogan(dumpAt(t, d, 1, 90), time.Now().Add(time.Hour)); there {
		t.Error("the dump of an earlier end is taken for this one's")
	}
	if _, there := slogan(d.dir, time.Time{}); there {
		t.Error("a directory is no dump")
	}
}

func TestTheKernelsCountOfOOMKillsIsReadInBothVersions(t *testing.T) {
	for about, files := range map[string]map[string]string{
		"version 2, the host's view": {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events": "oom 3\noom_kill 2\n", "sys/fs/cgroup/memory.events": "oom_kill 9\n"},
		"version 2, its own view":    {"proc/self/cgroup": "0::/../c\n", "sys/fs/cgroup/memory.events": "oom 3\noom_kill 2\n"},
		"version 1, the host's view": {"proc/self/cgroup": "4:cpu,memory:/a\n0::/\n", "sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0\noom_kill 2\n"},
		"version 1, mounted over":    {"proc/self/cgroup": "4:memory:/docker/x\n", "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 2\n"},
	} {
		root := t.TempDir()
		for name, content := range files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, path, content)
		}
		if got := oomKills(root); got != 2 {
			t.Errorf("%s: %d", about, got)
		}
	}
	if got := oomKills(t.TempDir()); got != 0 {
		t.Errorf("without a control group: %d", got)
	}
}

func TestTheNodeIsChosenBeforeTheAgentWhenMemoryRunsOut(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.end(node)
	score := func(pid any) (n int) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%v/oom_score_adj", pid))
		if _, scan := fmt.Sscan(string(text), &n); err != nil || scan != nil {
			t.Error(err, scan)
		}
		return n
	}
	if agent, node := score("self"), score(node.process.Pid()); node <= agent {
		t.Errorf("the agent has %d, the node %d", agent, node)
	}
}
