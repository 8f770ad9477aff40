package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theseus/agent/family"
)

// launchMix is the launch of demo 1.0.0 as a release of mix, in this environment behind that of its launcher.
func launchMix(t *testing.T, c Config, environ ...string) launch {
	t.Helper()
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	write(t, filepath.Join(v.ReleaseDir("1.0.0"), "remote.vm.args"), "")
	write(t, filepath.Join(v.ReleaseDir("1.0.0"), "COOKIE"), "of-the-package")
	r := familyRelease(v, v.State().Releases["1.0.0"])
	environ, err := family.Of(r, family.Host{}).Environ(t.Context(), r, environ)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLaunch(c, v, boot{Release: v.State().Releases["1.0.0"]}, environ)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAReleaseOfMixIsLaunchedAsElixirDoes(t *testing.T) {
	l := launchMix(t, Config{DistPort: 9100, RunDir: t.TempDir()}, "RELEASE_DISTRIBUTION=name", "RELEASE_NODE=shop@127.0.0.1", "RELEASE_MODE=interactive", "ELIXIR_ERL_OPTIONS=+K true")
	for _, words := range [][]string{
		{"+K", "true", "-s", "elixir", "start_cli"}, {"-mode", "interactive"}, {"-name", "shop@127.0.0.1"}, {"-erl_epmd_port", "9100"}, {"-heart"},
	} {
		if !l.gives(words...) {
			t.Errorf("the command line lacks %v: %v", words, l.command.Args)
		}
	}
	if line := strings.Join(l.command.Args, " "); !strings.HasSuffix(line, " -extra --no-halt") || strings.Contains(line, "package") {
		t.Errorf("the command line is %s", line)
	}
	if l.target.Node != "shop@127.0.0.1" || l.target.Cookie != "of-the-package" || l.target.Addr != "127.0.0.1:9100" {
		t.Errorf("reached as %+v", l.target)
	}
}

func TestTheCookieOfAReleaseStandsInThePrivateHome(t *testing.T) {
	run := t.TempDir()
	for _, cookie := range []string{"one", "two"} {
		launchMix(t, Config{RunDir: run}, "RELEASE_COOKIE="+cookie, "HOME="+t.TempDir())
		path := filepath.Join(run, "home", ".erlang.cookie")
		info, err := os.Stat(path)
		if got, _ := os.ReadFile(path); string(got) != cookie || err != nil || info.Mode() != 0o400 {
			t.Errorf("the cookie is %q, %v, %v", got, info, err)
		}
	}
}

func TestAReleaseOfMixWithoutADistributionIsTheAgentsAlone(t *testing.T) {
	l := launchMix(t, Config{RunDir: t.TempDir()}, "RELEASE_DISTRIBUTION=none", "RELEASE_NODE=ignored")
	if !l.gives("-name", "demo@127.0.0.1") || !l.gives("-kernel", "inet_dist_use_interface", "{127,0,0,1}") {
		t.Errorf("the command line is %v", l.command.Args)
	}
}

func TestTheCommandsOfAReleaseLeadToItsNode(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	node := &incarnation{reach: family.Node{Name: "demo@shop.example", Port: "9100", Home: "/h", InetRC: filepath.Join(t.TempDir(), "inetrc")}}
	place := func() string {
		k.placeCommand(node, k.volume.State().Releases["1.0.0"])
		text, _ := os.ReadFile(k.volume.Path("bin", "demo")) // empty: it is not there
		return string(text)
	}
	dir := k.volume.ReleaseDir("1.0.0")
	write(t, filepath.Join(dir, "remote.vm.args"), "")
	if got := place(); got != "" {
		t.Errorf("without a launcher there is %q", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "bin", "demo"), "")
	for _, words := range []string{"RELEASE_NODE='demo@shop.example'", "-erl_epmd_port 9100", ". '" + dir + "/bin/demo'"} {
		if got := place(); !strings.Contains(got, words) {
			t.Errorf("%q lacks %q", got, words)
		}
	}
	if got, err := os.ReadFile(node.reach.InetRC); err != nil || !strings.Contains(string(got), `{host, {127,0,0,1}, ["shop.example", `) {
		t.Errorf("%q, %v", got, err)
	}
}
