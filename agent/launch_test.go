package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/volume"
)

// launchWith is the launch of demo 1.0.0 with this vm.args; empty: it has none.
func launchWith(t *testing.T, vmArgs string, c Config, environ ...string) (launch, *volume.Volume) {
	t.Helper()
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	if vmArgs != "" {
		write(t, filepath.Join(v.ReleaseDir("1.0.0"), "vm.args"), vmArgs)
	}
	if c.RunDir == "" {
		c.RunDir = t.TempDir()
	}
	l, err := newLaunch(c, v, boot{Release: v.State().Releases["1.0.0"]}, environ)
	if err != nil {
		t.Fatal(err)
	}
	return l, v
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o400); err != nil {
		t.Fatal(err)
	}
}

// gives tells that the command line has these words in a row.
func (l launch) gives(words ...string) bool {
	return strings.Contains(strings.Join(l.command.Args, "\x00")+"\x00", "\x00"+strings.Join(words, "\x00")+"\x00")
}

func TestANodeWithoutVMArgsListensOnLoopbackAlone(t *testing.T) {
	l, v := launchWith(t, "", Config{DistPort: 9100})
	for _, words := range [][]string{
		{"-noinput"},
		{"-boot", v.Path("releases/1.0.0/start")},
		{"-config", v.Path("releases/1.0.0/sys")},
		{"-name", "demo@127.0.0.1"},
		{"-start_epmd", "false", "-erl_epmd_port", "9100"},
		{"-kernel", "inet_dist_use_interface", "{127,0,0,1}"},
	} {
		if !l.gives(words...) {
			t.Errorf("the command line lacks %v", words)
		}
	}
	if l.gives("-args_file") || l.target.Node != "demo@127.0.0.1" || l.target.Addr != "127.0.0.1:9100" {
		t.Errorf("reached as %+v by %v", l.target, l.command.Args)
	}
}

func TestWhatVMArgsSaysIsLeftToIt(t *testing.T) {
	l, _ := launchWith(t, "-name shop@10.0.0.1\n-setcookie secret\n-erl_epmd_port 4370\n-kernel inet_dist_use_interface '{0,0,0,0}'\n-mode interactive\n", Config{DistPort: 9100})
	for _, word := range []string{"-name", "-start_epmd", "-erl_epmd_port", "-kernel", "secret", "-mode"} {
		if slices.Contains(l.command.Args, word) {
			t.Errorf("the command line has %s as well", word)
		}
	}
	if l.target.Node != "shop@10.0.0.1" || l.target.Addr != "127.0.0.1:4370" || l.target.Cookie != "secret" {
		t.Errorf("reached as %+v", l.target)
	}
}

func TestACookieOfTheAgentIsNewAtEachLaunchAndNeverOnTheCommandLine(t *testing.T) {
	c := Config{RunDir: t.TempDir()}
	first, _ := launchWith(t, "", c)
	second, _ := launchWith(t, "", c)
	if len(first.target.Cookie) != 64 || first.target.Cookie == second.target.Cookie {
		t.Errorf("cookies %q and %q", first.target.Cookie, second.target.Cookie)
	}
	if all := append(second.command.Args, second.command.Env...); strings.Contains(strings.Join(all, " "), second.target.Cookie) {
		t.Error("the cookie can be read by everybody")
	}
	home := filepath.Join(c.RunDir, "home")
	info, err := os.Stat(filepath.Join(home, ".erlang.cookie"))
	if err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("the cookie's file: %v, %v", info, err)
	}
	if !slices.Contains(second.command.Env, "HOME="+home) {
		t.Error("the node does not find its cookie")
	}
}

func TestACookieOfTheUsersHomeStays(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".erlang.cookie"), "oatmeal\n")
	l, _ := launchWith(t, "", Config{}, "HOME="+home)
	if l.target.Cookie != "oatmeal" || !slices.Contains(l.command.Env, "HOME="+home) {
		t.Errorf("cookie %q, environment %v", l.target.Cookie, l.command.Env)
	}
}

func TestAHomeThatOthersMayReadIsRefused(t *testing.T) {
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	c := Config{RunDir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(c.RunDir, "home"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := newLaunch(c, v, boot{Release: v.State().Releases["1.0.0"]}, nil); err == nil || !strings.Contains(err.Error(), "is not a directory of uid") {
		t.Errorf("got %v", err)
	}
}

func TestACookieIsWhereErlangOrRelxLooksForIt(t *testing.T) {
	home, settings := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(settings, "erlang"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(settings, "erlang", ".erlang.cookie"), "muesli")
	for about, c := range map[string]struct {
		vmArgs  string
		environ []string
		want    string
	}{
		"vm.args":          {"-setcookie porridge\n", []string{"HOME=" + home, "RELX_COOKIE=flakes"}, "porridge"},
		"relx":             {"", []string{"HOME=" + home, "RELX_COOKIE=flakes"}, "flakes"},
		"relx, two":        {"-setcookie a\n-setcookie b\n", []string{"RELX_COOKIE=flakes"}, "flakes"},
		"the user's":       {"", []string{"HOME=" + home, "XDG_CONFIG_HOME=" + settings}, "muesli"},
		"as vm.args says":  {"-env XDG_CONFIG_HOME " + settings + "\n", []string{"HOME=" + home}, "muesli"},
		"the environment":  {"", []string{"HOME=" + home, "ERL_FLAGS=-setcookie semolina"}, "semolina"},
		"none for the app": {"-nocookie\n", []string{"HOME=" + home}, "nocookie"},
	} {
		l, _ := launchWith(t, c.vmArgs, Config{}, c.environ...)
		if l.target.Cookie != c.want {
			t.Errorf("%s: the cookie is %q, want %q", about, l.target.Cookie, c.want)
		}
		if slices.Contains(l.command.Args, c.want) {
			t.Errorf("%s: it stands on the command line", about)
		}
	}
}

func TestTheNodeHasTheContainersEnvironment(t *testing.T) {
	l, v := launchWith(t, "", Config{}, "PATH=/opt/bin", "DATABASE=db", "ROOTDIR=/elsewhere", "ERL_CRASH_DUMP=/dumps/one")
	for _, want := range []string{"PATH=/opt/bin", "DATABASE=db", "ROOTDIR=" + v.Root(), "BINDIR=" + l.bindir, "ERL_CRASH_DUMP=/dumps/one"} {
		if !slices.Contains(l.command.Env, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	if slices.Contains(l.command.Env, "ROOTDIR=/elsewhere") {
		t.Error("it has two of a name")
	}
}

func TestANodeHasOneHeartWhoeverAsksForIt(t *testing.T) {
	for about, c := range map[string]struct {
		vmArgs, environ string
		want            bool // on the command line
	}{
		"nobody":        {"", "", true},
		"vm.args":       {"-heart\n", "", false},
		"ERL_FLAGS":     {"", "ERL_FLAGS=+Bd -heart", false},
		"a comment":     {"# -heart\n", "ERL_FLAGS=-hearty", true},
		"its own words": {"-env HEART_COMMAND /bin/false\n", "ERL_ZFLAGS=", true},
	} {
		l, _ := launchWith(t, c.vmArgs, Config{}, c.environ)
		if got := slices.Contains(l.command.Args, "-heart"); got != c.want {
			t.Errorf("%s asks for it: on the command line it stands: %v", about, got)
		}
	}
}

func TestATrialBootsByTheScriptThatReleaseHandlerMade(t *testing.T) {
	v := makeVolume(t, map[string]string{"1.0.0": ""})
	write(t, filepath.Join(v.ReleaseDir("1.0.0"), "vm.args"), "-name shop@127.0.0.1\n")
	l, err := newLaunch(Config{RunDir: t.TempDir()}, v, boot{v.State().Releases["1.0.0"], "__new_emulator__0.9.0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hybrid := v.Path("releases/__new_emulator__0.9.0")
	if !l.gives("-boot", hybrid+"/start") || !l.gives("-config", hybrid+"/sys") || !l.gives("-args_file", v.Path("releases/1.0.0/vm.args")) {
		t.Errorf("it is booted by %v", l.command.Args)
	}
}
