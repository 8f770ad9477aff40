package volume

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// numbers are what is left of the history.
func numbers(t *testing.T, v *Volume) (list []int) {
	t.Helper()
	lines, err := v.History(0)
	must(t, err)
	for _, line := range lines {
		var event struct{ N int }
		must(t, json.Unmarshal(line, &event))
		list = append(list, event.N)
	}
	return list
}

func TestTheHistoryHasAnEndAndNoGap(t *testing.T) {
	v := seeded(t)
	filler := strings.Repeat("x", historyBytes/8)
	for n := range 30 {
		must(t, v.RecordHistory(map[string]any{"n": n, "filler": filler}, false))
		if n%13 > 0 {
			continue
		}
		got := numbers(t, v)
		if first, last := got[0], got[len(got)-1]; last != n || last-first+1 != len(got) {
			t.Errorf("after number %d these are left: %v", n, got)
		}
		if n > 16 && (len(got) < 8 || len(got) > 18) {
			t.Errorf("after number %d there are %d left", n, len(got))
		}
	}
	for _, path := range []string{v.historyPath(), v.olderHistoryPath()} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Size() > historyBytes+2*int64(len(filler)) {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
	}
}

// TestACrashWhileTheHistoryTurnsLosesNothing: between the two files' rename and the first line there is only the older.
func TestACrashWhileTheHistoryTurnsLosesNothing(t *testing.T) {
	v := seeded(t)
	for n := range 3 {
		must(t, v.RecordHistory(map[string]int{"n": n}, true))
	}
	v.history = 1
	must(t, v.turnHistory())
	v.history = historyBytes
	v = crash(t, v)
	if got := numbers(t, v); len(got) != 3 {
		t.Errorf("after the crash: %v", got)
	}
	must(t, v.RecordHistory(map[string]int{"n": 3}, true))
	if got := numbers(t, v); len(got) != 4 || got[3] != 3 {
		t.Errorf("and one more: %v", got)
	}
	if limited, err := v.History(2); len(limited) != 2 || err != nil {
		t.Errorf("the last two: %s, %v", limited, err)
	}
}

// TestWhatTheNodePutsInThePlaceOfTheAgentsFilesHoldsNobodyUp: a pipe would be read without end, and a large file would fill memory.
func TestWhatTheNodePutsInThePlaceOfTheAgentsFilesHoldsNobodyUp(t *testing.T) {
	v := seeded(t)
	must(t, v.StoreReport(reportOf(1), []byte("{}")))
	must(t, v.RecordHistory(map[string]int{"n": 1}, true))
	root := v.Path()
	for about, put := range map[string]func(path string) error{
		"is no file": func(path string) error { return unix.Mkfifo(path, 0o600) },
		"which the agent never wrote": func(path string) error {
			f, err := os.Create(path)
			if err == nil {
				err = errors.Join(f.Truncate(1<<40), f.Close())
			}
			return err
		},
	} {
		for path, read := range map[string]func() error{
			v.historyPath():           func() error { _, err := v.History(0); return err },
			v.olderHistoryPath():      func() error { _, err := v.History(0); return err },
			v.reportPath(reportOf(1)): func() error { _, err := v.Report(reportOf(1)); return err },
			v.statePath():             func() error { _, err := Look(root); return err },
		} {
			kept, _ := os.ReadFile(path)
			must(t, os.RemoveAll(path))
			must(t, put(path))
			if err := read(); err == nil || !strings.Contains(err.Error(), about) {
				t.Errorf("%s: %v, not %q", path, err, about)
			}
			if err := v.RecordHistory(map[string]int{"n": 2}, true); path == v.historyPath() && about == "is no file" && err == nil {
				t.Error("something was recorded in a pipe")
			}
			must(t, os.Remove(path))
			if kept != nil {
				must(t, os.WriteFile(path, kept, 0o600))
			}
			must(t, os.RemoveAll(v.olderHistoryPath()))
		}
	}
}
