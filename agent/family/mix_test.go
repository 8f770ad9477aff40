package family

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/integration/need"
	"theseus/signals"
)

var testInit = sync.OnceValues(func() (*signals.Init, error) { return signals.New(slog.New(slog.DiscardHandler)) })

// mixRelease is a release of mix with these files more.
func mixRelease(t *testing.T, files map[string]string) (Release, mix) {
	t.Helper()
	r := release(t, files)
	r.Root = filepath.Dir(r.Dir)
	init, err := testInit()
	if err != nil {
		t.Fatal(err)
	}
	return r, mix{Host{Init: init, Dir: t.TempDir()}}
}

func TestAReleaseOfMixIsKnownByItsFiles(t *testing.T) {
	for _, name := range []string{"env.sh", "remote.vm.args", "sys.config"} {
		r, _ := mixRelease(t, map[string]string{name: ""})
		if _, is := Of(r, Host{}).(mix); is != (name != "sys.config") {
			t.Errorf("with %s: %v", name, is)
		}
	}
}

func TestTheEnvironmentIsThatOfTheLauncher(t *testing.T) {
	r, m := mixRelease(t, map[string]string{
		"COOKIE": "C\n",
		"env.sh": "echo noise\nRELEASE_NODE=not-exported-here\nHERE=$REL_VSN_DIR\nexport AT=\"$RELEASE_ROOT $RELEASE_VSN $RELEASE_COMMAND $1 $HERE\nx\"\nunset GONE\n",
	})
	got, err := m.Environ(t.Context(), r, []string{"PATH=/usr/bin:/bin", "RELEASE_VSN=0.9", "RELEASE_MODE=interactive", "RELEASE_TMP=", "GONE=1", "KEPT=a=b"})
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(kv string) bool { return strings.HasPrefix(kv, "PWD=") })
	slices.Sort(got)
	want := []string{
		"AT=" + r.Root + " 1.0.0 start start " + r.Root + "/releases/1.0.0\nx", "KEPT=a=b", "PATH=/usr/bin:/bin",
		"RELEASE_BOOT_SCRIPT=start", "RELEASE_BOOT_SCRIPT_CLEAN=start_clean", "RELEASE_COMMAND=start", "RELEASE_COOKIE=C", "RELEASE_DISTRIBUTION=sname",
		"RELEASE_MODE=interactive", "RELEASE_NAME=demo", "RELEASE_NODE=not-exported-here", "RELEASE_PROG=demo", "RELEASE_REMOTE_VM_ARGS=" + r.Dir + "/remote.vm.args",
		"RELEASE_ROOT=" + r.Root, "RELEASE_SYS_CONFIG=" + r.Dir + "/sys", "RELEASE_TMP=" + r.Root + "/tmp", "RELEASE_VM_ARGS=" + r.Dir + "/vm.args", "RELEASE_VSN=1.0.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEnvShOfCommentsNeedsNoShell(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"env.sh": "#!/bin/sh\n\n# export A=1\n"})
	m.host.Init = nil
	if got, err := m.Environ(t.Context(), r, nil); err != nil || Lookup(got, "RELEASE_NODE") != "demo" {
		t.Error(got, err)
	}
}

func TestAnEnvShThatFailsIsOneError(t *testing.T) {
	for script, want := range map[string]string{
		"exit 3": "its env.sh ended with status 3", "false\nexport A=1": "its env.sh ended with status 1", "kill -9 $$": "its env.sh ended with status 137",
		"exec true": "its env.sh left no environment",
	} {
		r, m := mixRelease(t, map[string]string{"env.sh": script})
		if _, err := m.Environ(t.Context(), r, []string{"PATH=/usr/bin:/bin"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", script, err)
		}
	}
}

func TestAnEnvShThatHangsEndsWithTheAgent(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"env.sh": "echo $$ >\"$RELEASE_ROOT/started\"\nwhile :; do :; done"})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for !exists(filepath.Join(r.Root, "started")) && t.Context().Err() == nil {
		}
		stop()
	}()
	if _, err := m.Environ(ctx, r, nil); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Error(err)
	}
}

// It has left the session, as a port program of a VM has (erts: erl_child_setup).
func TestWhatAnEnvShHasStartedEndsWithIt(t *testing.T) {
	for end, want := range map[string]string{"export A=1": "", "while :; do :; done": "context canceled"} {
		pid := filepath.Join(t.TempDir(), "pid")
		script := fmt.Sprintf("setsid sh -c 'echo $$ >%[1]s.new; mv %[1]s.new %[1]s; exec sleep 1000' &\nwhile [ ! -e %[1]s ]; do :; done\n%[2]s\n", pid, end)
		r, m := mixRelease(t, map[string]string{"env.sh": script})
		ctx, stop := context.WithCancel(t.Context())
		if want != "" {
			go func() {
				for !exists(pid) && t.Context().Err() == nil {
				}
				stop()
			}()
		}
		if _, err := m.Environ(ctx, r, []string{"PATH=/usr/bin:/bin"}); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v", end, err)
		}
		stop()
		left, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(left))); err != nil || signals.Within(n, os.Getpid()) {
			t.Errorf("%s: %s runs, %v", end, left, err)
		}
	}
}

func TestThePartOfCastleIsNotRun(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"env.sh": "export A=1\n# --- Forecastle: Castle integration (generated, do not edit) ---\n" +
		"export B=2 ELIXIR_ERL_OPTIONS=-heart\n# --- Forecastle: end Castle integration ---\nexport C=3\n"})
	got, err := m.Environ(t.Context(), r, []string{"PATH=/usr/bin:/bin"})
	if err != nil || Lookup(got, "A")+Lookup(got, "B")+Lookup(got, "C")+Lookup(got, "ELIXIR_ERL_OPTIONS") != "13" {
		t.Error(got, err)
	}
}

func TestTheCommandLineIsThatOfElixirWithoutTheCookie(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"vm.args": ""})
	environ, err := m.Environ(t.Context(), r, []string{"RELEASE_COOKIE=C", "ELIXIR_ERL_OPTIONS=+K  true"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Launch(r, environ)
	want := Launch{
		Boot: "start", Mode: "embedded", VMArgs: filepath.Join(r.Dir, "vm.args"), Name: "demo", Short: true, Cookie: "C",
		Before: []string{"+K", "true", "-s", "elixir", "start_cli"}, After: []string{"-extra", "--no-halt"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for kind, name := range map[string]string{"none": "", "name": "demo"} {
		if got, err := m.Launch(r, append(environ, "RELEASE_DISTRIBUTION="+kind)); err != nil && got.Name != name {
			t.Errorf("%s: %+v, %v", kind, got, err)
		}
	}
	if _, err := m.Launch(r, []string{"RELEASE_DISTRIBUTION=long"}); err == nil || err.Error() != `RELEASE_DISTRIBUTION is "long", not sname, name or none` {
		t.Error(err)
	}
}

func TestACommandSourcesTheLauncherOfItsRelease(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"env.sh": ""})
	node := Node{Name: "it's@h", Short: true, Port: "9100", Home: "/run/h", InetRC: "/run/inetrc"}
	if got := m.Command(r, node); got != nil {
		t.Errorf("without a launcher it is %q", got)
	}
	launcher := "echo \"$0|$1|$RELEASE_VSN|$RELEASE_NODE|$RELEASE_DISTRIBUTION|$HOME|$ERL_AFLAGS\"\n"
	if err := os.MkdirAll(filepath.Join(r.Dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(t.TempDir(), "demo")
	if err := os.WriteFile(r.launcher(), []byte(launcher), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(command, m.Command(r, node), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), command, "rpc")
	cmd.Env = []string{"RELEASE_VSN=0", "ERL_AFLAGS=+K true"}
	out, err := cmd.CombinedOutput()
	want := command + "|rpc|1.0.0|it's@h|sname|/run/h|-setcookie in-a-file -start_epmd false -erl_epmd_port 9100 -dist_listen false +K true\n"
	if string(out) != want || err != nil {
		t.Errorf("it says %q, %v, want %q", out, err, want)
	}
	if out, err := exec.CommandContext(t.Context(), command, "daemon").CombinedOutput(); err == nil || !strings.Contains(string(out), "the agent starts the node") {
		t.Errorf("%s, %v", out, err)
	}
}

// elixirRelease is one whose VM finds the Elixir of this machine.
func elixirRelease(t *testing.T, files map[string]string) (r Release, m mix, environ []string) {
	t.Helper()
	const elixir = "/usr/lib/elixir/lib"
	otp, err := exec.CommandContext(t.Context(), "erl", "-noinput", "-eval", `io:format("~ts ~ts", [code:root_dir(), erlang:system_info(version)]), halt()`).Output()
	if err != nil || !exists(elixir) {
		need.Missing(t, "erl, and Elixir in "+elixir)
	}
	root, erts, _ := strings.Cut(string(otp), " ")
	r, m = mixRelease(t, files)
	r.Root, r.ERTS = t.TempDir(), erts
	for link, target := range map[string]string{"lib": root + "/lib", "erts-" + erts: root + "/erts-" + erts} {
		if err := os.Symlink(target, filepath.Join(r.Root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(root+"/bin/start_clean.boot", filepath.Join(r.Dir, "start_clean.boot")); err != nil {
		t.Fatal(err)
	}
	environ, err = m.Environ(t.Context(), r, []string{"PATH=/usr/bin:/bin", "ERL_LIBS=" + elixir, "LANG=C.UTF-8", "PORT=9191", "ERL_FLAGS=-name poison@h", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	return r, m, environ
}

// provided is a configuration with runtime.exs for its provider.
func provided(dir string) string {
	return `[{demo,[{port,1},{kept,here}]},{logger,[{checked,yes}]},{elixir,[{config_provider_init,#{'__struct__'=>'Elixir.Config.Provider',
		extra_config=>[{demo,[{extra,true}]}],validate_compile_env=>[{logger,[checked],{ok,yes}}],config_path=>{system,<<"RELEASE_SYS_CONFIG">>,<<".config">>},
		reboot_system_after_config=>true,prune_runtime_sys_config_after_boot=>true,
		providers=>[{'Elixir.Config.Reader',{<<"` + dir + `/runtime.exs">>,[{env,prod},{target,host},{imports,disabled}]}}]}}]}].`
}

func TestConfigProvidersAreRunInAVMOfTheRelease(t *testing.T) {
	r, m, environ := elixirRelease(t, nil)
	for file, text := range map[string]string{"sys.config.pristine": provided(r.Dir), "runtime.exs": "import Config\nIO.puts(\"noise\")\n" +
		`config :demo, port: String.to_integer(System.fetch_env!("PORT")), text: "ż", at: {System.get_env("RELEASE_VSN"), node()}, f: &String.length/1` +
		"\nconfig :kernel, net_ticktime: 7\n"} {
		if err := os.WriteFile(filepath.Join(r.Dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Resolve(t.Context(), r, environ)
	if err != nil || len(got.Files) != 1 {
		t.Fatal(got, err)
	}
	text := strings.Join(strings.Fields(string(got.Files[0].Content)), "")
	for _, words := range []string{
		"%%coding:utf-8[", "{kept,here}", "{port,9191}", "{extra,true}", "{text,<<197,188>>}", "{at,{<<\"1.0.0\">>,nonode@nohost}}",
		"{f,fun'Elixir.String':length/1}", "{kernel,[{net_ticktime,7}]}",
	} {
		if !strings.Contains(text, words) {
			t.Errorf("%s\nlacks %s", text, words)
		}
	}
	if strings.Contains(text, "elixir") && strings.Contains(text, "config_provider") {
		t.Errorf("the providers are still in %s", text)
	}
	if left, _ := os.ReadDir(m.host.Dir); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestAConfigurationThatCannotBeResolvedSaysWhy(t *testing.T) {
	r, m, environ := elixirRelease(t, nil)
	for script, want := range map[string]string{
		`raise "no such\n\n  luck"`:                          "cannot resolve its configuration: Config.Reader ended with ** (RuntimeError) no such luck",
		`System.fetch_env!("NOT")`:                           `** (System.EnvError) could not fetch environment variable "NOT" because it is not set`,
		"import Config\nconfig :demo, owner: [self()]":       ":owner of demo holds a value that has no text",
		"import Config\nconfig :demo, run: fn -> 1 end":      ":run of demo holds a value that has no text",
		"import Config\nconfig :demo, ref: %{a: make_ref()}": ":ref of demo holds a value that has no text",
		"import Config\nconfig :logger, checked: :no":        "compile time",
		"System.halt(5)":                                     "the VM for it ended with status 5",
	} {
		for file, text := range map[string]string{"sys.config.pristine": provided(r.Dir), "runtime.exs": script} {
			if err := os.WriteFile(filepath.Join(r.Dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Resolve(t.Context(), r, environ); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", script, err)
		}
	}
}

func TestAConfigurationWithoutProvidersIsTakenAsItIs(t *testing.T) {
	r, m := mixRelease(t, map[string]string{"sys.config.pristine": "[{demo,[]}].", "other.config": "[]."})
	for sys, want := range map[string]string{filepath.Join(r.Dir, "sys"): "[{demo,[]}].", filepath.Join(r.Dir, "other"): "[]."} {
		got, err := m.Resolve(t.Context(), r, []string{"RELEASE_SYS_CONFIG=" + sys})
		if diff := cmp.Diff(Resolved{Files: []File{{"sys.config", []byte(want)}}}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
}
