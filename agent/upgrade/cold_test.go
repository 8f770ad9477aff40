package upgrade

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestWhatWaitsForAStartIsToldOnce on a way over several releases, and not where the way ends in a restart.
func TestWhatWaitsForAStartIsToldOnce(t *testing.T) {
	for script, warnings := range map[string]int{"": 1, "settled.busy:one": 0} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, script, demo("1.1.0", "1.0.0"), demo("1.0.0", ""))
			s.engine.Starts = func(string) (running, next Start, err error) { return Start{Env: "A=1"}, Start{Env: "A=2"}, nil }
			s.request.Restart = true
			s.upgrade(demo("1.2.0", "1.1.0"))
			s.ends("probation: committed, 1.2.0 runs" + map[bool]string{true: " after a restart"}[script != ""] + ", warned")
			if got := strings.Count(strings.Join(s.result().Warnings, "; "), "env.sh differs"); got != warnings {
				t.Errorf("%q: it was told %d times", script, got)
			}
		})
	}
}

func TestTheFlagsThatDifferAreNamed(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "", ""},
		{"-name shop@127.0.0.1 +K true", "+K true -name shop@127.0.0.1", ""},
		{"+P 1000", "+P 2000", "+P"},
		{"", "+P 2000", "+P"},
		{"-smp", "", "-smp"},
		{"-heart -heart", "-heart", "-heart"},
		{"-env A 1 -env B 2", "-env A 1 -env B 3 -env C 4", "-env B, -env C"},
		{"-kernel inet_dist_listen_min 1 inet_dist_listen_max 2", "-kernel inet_dist_listen_min 1 inet_dist_listen_max 3", "-kernel inet_dist_listen_max"},
		{"-setcookie old", "-setcookie new", "-setcookie"},
		{"-shop limit -1 +S 2", "-shop limit -2 +S 2", "-shop limit"},
		{"-pa a -pa b", "-pa b -pa a", "-pa"},
	} {
		if got := strings.Join(changedFlags(strings.Fields(c.before), strings.Fields(c.after)), ", "); got != c.want {
			t.Errorf("from %q to %q: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}
