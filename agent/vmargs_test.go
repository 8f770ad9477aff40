package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVMArgsAreReadAsErlexecReadsThem(t *testing.T) {
	for _, c := range []struct {
		about, text string
		want        []string
	}{
		{"words", "-name demo@127.0.0.1 +K true\n", []string{"-name", "demo@127.0.0.1", "+K", "true"}},
		{"comments", "## Name of the node\n-name a # the rest\n", []string{"-name", "a"}},
		{"quotes", `-kernel inet_dist_use_interface '{127, 0, 0, 1}'`, []string{"-kernel", "inet_dist_use_interface", "{127, 0, 0, 1}"}},
		{"escapes", `-a b\ c \"d\"`, []string{"-a", "b c", `"d"`}},
		{"an empty word", `-a ""`, []string{"-a", ""}},
		{"nothing", "", nil},
	} {
		if diff := cmp.Diff(c.want, vmWords(c.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.about, diff)
		}
	}
}

func TestVMArgsTellWhatTheAgentMustNotRepeat(t *testing.T) {
	a := parseVMArgs("-sname demo\n-name other@host\n-setcookie secret\n-kernel inet_dist_use_interface '{0,0,0,0}' logger_level info\n-erl_epmd_port 9100\n")
	if a.name != "demo" || !a.short {
		t.Errorf("the name is %q, short %v: of two the first wins", a.name, a.short)
	}
	if a.cookie != "secret" || a.distPort != "9100" {
		t.Errorf("cookie %q, port %q", a.cookie, a.distPort)
	}
	for _, flag := range []string{"-kernel inet_dist_use_interface", "-erl_epmd_port", "-setcookie"} {
		if !a.has(flag) {
			t.Errorf("%s was not seen", flag)
		}
	}
	if a.has("-start_epmd") {
		t.Error("-start_epmd was seen, and is not there")
	}
}
