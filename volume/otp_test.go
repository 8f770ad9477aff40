package volume

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/integration/need"
	"theseus/rpc/term"
)

const derived = `%% coding: utf-8
[{release,"demo","1.1.0","13.1.5",[{kernel,"8.5.3","lib/kernel-8.5.3"},{stdlib,"4.2","lib/stdlib-4.2"},{greet,"1.0.0","lib/greet-1.0.0"},{demo,"1.1.0","lib/demo-1.1.0"}],permanent},
 {release,"demo","1.0.0","13.1.5",[{kernel,"8.5.3","lib/kernel-8.5.3"},{stdlib,"4.2","lib/stdlib-4.2"},{greet,"1.0.0","lib/greet-1.0.0"},{demo,"1.0.0","lib/demo-1.0.0"}],old},
 {release,"demo","1.2.0","13.1.5",[{kernel,"8.5.3","lib/kernel-8.5.3"},{stdlib,"4.2","lib/stdlib-4.2"},{greet,"1.0.0","lib/greet-1.0.0"},{demo,"1.2.0","lib/demo-1.2.0"}],unpacked}].
`

func TestDeriveRewritesWhatOTPMayHaveTorn(t *testing.T) {
	v := seeded(t)
	publish(t, v, thin("1.1.0"))
	publish(t, v, thin("1.2.0"))
	must(t, v.Seed("1.1.0", v.State().Releases["1.1.0"].Package))
	for _, torn := range []string{"", "[{release,", derived} {
		write(t, v.Path("releases/RELEASES"), torn)
		write(t, v.Path("releases/start_erl.data"), "")
		write(t, v.Path("releases/new_start_erl.data"), "13.1.5 1.2.0")
		must(t, v.Derive("1.1.0"))
		if diff := cmp.Diff(derived, read(t, v.Path("releases/RELEASES"))); diff != "" {
			t.Errorf("RELEASES (-want +got):\n%s", diff)
		}
		if got := read(t, v.Path("releases/start_erl.data")); got != "13.1.5 1.1.0" {
			t.Errorf("start_erl.data = %q", got)
		}
		if _, err := os.Lstat(v.Path("releases/new_start_erl.data")); !os.IsNotExist(err) {
			t.Errorf("new_start_erl.data is still there: %v", err)
		}
	}
}

func TestErlangReadsTheDerivedRecords(t *testing.T) {
	erl := need.Tool(t, "erl")
	v := seeded(t)
	must(t, v.Derive("1.0.0"))
	cmd := exec.Command(erl, "-noinput", "-eval", `
		{ok, [[{release, "demo", "1.0.0", "13.1.5", Libs, permanent}]]} = file:consult("releases/RELEASES"),
		{demo, "1.0.0", "lib/demo-1.0.0"} = lists:last(Libs), halt(0).`)
	cmd.Dir = v.root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRelupOfAPublishedReleaseIsRead(t *testing.T) {
	const text = `{"1.1.0",
		[{"1.0.0",[],[{load_object_code,{demo,"1.1.0",[demo]}},point_of_no_return,{suspend,[demo]}]},
		 {"0.9.0","by restart",[restart_new_emulator]}],
		[{"1.0.0",[],[point_of_no_return]}]}.`
	v := seeded(t)
	publish(t, v, append(thin("1.1.0"), file("releases/1.1.0/relup", text)))
	r, err := v.Relup("1.1.0")
	must(t, err)
	if r.To != "1.1.0" || len(r.Up) != 2 || len(r.Down) != 1 || r.Up[1].Descr != "by restart" {
		t.Errorf("%+v", r)
	}
	if r.Up[0].NeedsEmulatorRestart() || !r.Up[1].NeedsEmulatorRestart() {
		t.Error("which way restarts the emulator was not seen")
	}
	want := term.Tuple{term.Atom("suspend"), term.List{term.Atom("demo")}}
	if diff := cmp.Diff(term.Term(want), r.Up[0].Instructions[2]); diff != "" {
		t.Error(diff)
	}
	if r, err := v.Relup("1.0.0"); r != nil || err != nil {
		t.Errorf("a release without a relup: %v, %v", r, err)
	}
}

// TestPackageOfRebar3BootsFromTheVolume seeds a volume with a real package, in which only the application is
// the package's own, and boots it as PID 1 does.
func TestPackageOfRebar3BootsFromTheVolume(t *testing.T) {
	rebar3, erl := need.Tool(t, "rebar3"), need.Tool(t, "erl")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"src/demo.app.src": `{application,demo,[{vsn,"1.0.0"},{registered,[]},{applications,[kernel,stdlib,sasl]},{modules,[]}]}.`,
		"src/demo.erl":     "-module(demo).\n-export([hello/0]).\nhello() -> world.\n",
		"sys.config":       `[{demo,[{name,"x"}]}].`,
		"vm.args":          "-name demo@127.0.0.1",
		"rebar.config": `{relx,[{release,{demo,"1.0.0"},[demo,sasl]},{include_erts,false},{system_libs,false},
			{dev_mode,false},{sys_config,"sys.config"},{vm_args,"vm.args"}]}.`,
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		write(t, filepath.Join(dir, name), content)
	}
	cmd := exec.Command(rebar3, "tar")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rebar3: %v\n%s", err, out)
	}
	f, err := os.Open(filepath.Join(dir, "_build/default/rel/demo/demo-1.0.0.tar.gz"))
	must(t, err)
	defer f.Close()

	v := open(t, filepath.Join(t.TempDir(), "release"))
	pkg, err := v.Receive(context.Background(), f, nil)
	must(t, err)
	s, err := v.Stage(context.Background(), pkg, "", nil)
	must(t, err)
	otp, err := DetectImage(erl)
	must(t, err)
	r, err := s.Publish(otp)
	must(t, err)
	must(t, v.Link(otp, r.Version))
	must(t, v.Seed(r.Version, r.Package))
	must(t, v.Derive(r.Version))
	must(t, v.Verify(r.Version))
	bootAndAsk(t, v, r)
}

func bootAndAsk(t *testing.T, v *Volume, r Release) {
	t.Helper()
	bindir := v.Path("erts-"+r.ERTS, "bin")
	cmd := exec.Command(filepath.Join(bindir, "erlexec"), "-boot", filepath.Join(v.ReleaseDir(r.Version), "start"),
		"-config", filepath.Join(v.ReleaseDir(r.Version), "sys"), "-mode", "embedded", "-noinput",
		"-boot_var", "SYSTEM_LIB_DIR", v.Path("lib"), "-boot_var", "ERTS_LIB_DIR", v.Path("lib"),
		"-eval", `io:format("~0p ~0p", [demo:hello(), release_handler:which_releases()]), halt(0).`)
	cmd.Env = append(os.Environ(), "ROOTDIR="+v.root, "BINDIR="+bindir, "EMU=beam", "PROGNAME=erl", "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `world [{"demo","1.0.0",[`) || !strings.Contains(string(out), "permanent}]") {
		t.Errorf("%v\n%s", err, out)
	}
}
