package ship

import (
	"fmt"
	"slices"
	"testing"
)

// Sample is what the agent as PID 1 holds at a moment, and what the volume does.
type Sample struct {
	RSS, FDs, Threads, Zombies int // RSS in KiB
	Disk, Names                int // in KiB, without the history, the reports and the logs, which have bounds of their own
}

// measure prints a sample. A zombie counts when it is still there ten seconds later.
const measure = `
zombies() { for p in "$@"; do read -r s <$p/stat && case "$s" in *") Z "*) echo $p;; esac; done 2>/dev/null; }
dead=$(zombies /proc/[0-9]*); for look in $(seq 100); do [ -z "$dead" ] && break; sleep 0.1; dead=$(zombies $dead); done
n=$(echo $dead | wc -w)
cd /var/lib/release; du() { command du -sk --exclude='history*' --exclude=reports --exclude=./log "$@" . | cut -f1; }
echo $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p; s/^Threads:[^0-9]*//p' /proc/1/status) $(ls /proc/1/fd | wc -l) $n $(du) $(du --inodes)`

// Sample takes one.
func (s *Ship) Sample() (m Sample) {
	s.T.Helper()
	out, err := s.Output(s.T.Context(), "sh", "-c", measure)
	s.Must(err)
	_, err = fmt.Sscan(out, &m.RSS, &m.Threads, &m.FDs, &m.Zombies, &m.Disk, &m.Names)
	s.Must(err)
	return m
}

// StaysFlat compares the last third of the samples with the middle one; the first is for what is allocated once.
func StaysFlat(t *testing.T, samples []Sample) {
	t.Helper()
	third := len(samples) / 3
	for what, c := range map[string]struct {
		of    func(Sample) int
		slack int
	}{
		"KiB of memory":   {func(s Sample) int { return s.RSS }, 4096},
		"open files":      {func(s Sample) int { return s.FDs }, 4},
		"threads":         {func(s Sample) int { return s.Threads }, 4},
		"KiB on the disk": {func(s Sample) int { return s.Disk }, 256},
		"names on it":     {func(s Sample) int { return s.Names }, 4},
	} {
		most := func(list []Sample) (m int) {
			for _, s := range list {
				m = max(m, c.of(s))
			}
			return m
		}
		if before, after := most(samples[third:2*third]), most(samples[2*third:]); after > before+c.slack {
			t.Errorf("%s grew from %d to %d", what, before, after)
		}
	}
	if i := slices.IndexFunc(samples, func(s Sample) bool { return s.Zombies > 0 }); i >= 0 {
		t.Errorf("sample %d of %d has %d zombies", i, len(samples), samples[i].Zombies)
	}
}
