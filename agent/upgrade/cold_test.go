package upgrade

import (
	"strings"
	"testing"
)

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
