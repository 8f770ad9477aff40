package erlexec

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/integration/need"
	"theseus/rpc/term"
)

// file writes an arguments file into a new directory and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vm.args")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// read is what a release with this vm.args says.
func read(t *testing.T, vmArgs string, environ ...string) Args {
	t.Helper()
	a, err := Line{OTP: "27", Args: []string{"-args_file", file(t, vmArgs)}, Environ: environ, Dir: t.TempDir()}.Read()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTextIsSplitAsErlexecSplitsIt(t *testing.T) {
	for about, c := range map[string]struct {
		text string
		want []string
	}{
		"words":               {"-name demo@127.0.0.1\t+K true\n", []string{"-name", "demo@127.0.0.1", "+K", "true", "--"}},
		"comments":            {"## Name of the node\n-name a# the rest\n", []string{"-name", "a", "--"}},
		"quotes":              {`-kernel inet_dist_use_interface '{127, 0, 0, 1}'`, []string{"-kernel", "inet_dist_use_interface", "{127, 0, 0, 1}", "--"}},
		"escapes":             {`-a b\ c \"d\" e\#f`, []string{"-a", "b c", `"d"`, "e#f", "--"}},
		"no escape in quotes": {`-a "b\" c`, []string{"-a", `b\`, "c", "--"}},
		"lines in quotes":     {"-a 'b\nc'", []string{"-a", "b\nc", "--"}},
		"an empty word":       {`-a ""`, []string{"-a", "", "--"}},
		"an open quote":       {`-a 'b c`, []string{"-a", "b c", "--"}},
		"nothing":             {" \n# -name a\n", nil},
	} {
		if diff := cmp.Diff(c.want, words(c.text, true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", about, diff)
		}
	}
	if got := words("-a #b", false); !slices.Equal(got, []string{"-a", "#b", "--"}) {
		t.Errorf("in the environment # is no comment: %q", got)
	}
}

// TestErlexecItselfAgrees compares with what the real one would start the emulator with.
func TestErlexecItselfAgrees(t *testing.T) {
	erl := need.Tool(t, "erl")
	root, err := exec.Command(erl, "-noinput", "-boot", "no_dot_erlang", "-eval", `io:put_chars([code:root_dir(), "\n", erlang:system_info(version), "\n", erlang:system_info(otp_release)]), halt().`).Output()
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(string(root))
	bin := filepath.Join(found[0], "erts-"+found[1], "bin")
	nested := file(t, "-nested \"a b\"\n-extra dropped\n-kernel never seen\n")
	for about, c := range map[string]struct {
		vmArgs  string
		environ []string
	}{
		"nothing":             {"\n", nil},
		"words and quotes":    {"-name a@b 'c d' \"e\\\" f\\ g # no\n-sname x#y\n-empty ''\n", nil},
		"lines in quotes":     {"-one 'a\tb'\n-- loose -two\v1\f2\r\n", nil},
		"a nested file":       {"-before 1\n-args_file " + nested + "\n-after 2\n", nil},
		"the environment":     {"-inside 1\n", []string{"ERL_AFLAGS=-first 1 # 2", "ERL_FLAGS=-third 'a b' \\#", "ERL_ZFLAGS=-last", "ERL_OTP" + found[2] + "_FLAGS=-zeroth x", "ERL_OTP1_FLAGS=-other"}},
		"extra in a variable": {"-inside 1\n", []string{"ERL_FLAGS=-a 1 -extra -b 2", "ERL_ZFLAGS=-c 3"}},
		"what it takes away":  {"-a 1\n-env NAME -value\n-epmd -none\n-b 2\n", nil},
	} {
		args := []string{"-args_file", file(t, c.vmArgs), "-end", "1", "-emu_args_exit", "-start_epmd", "false"}
		cmd := exec.Command(filepath.Join(bin, "erlexec"), args...)
		cmd.Env = append(c.environ, "ROOTDIR="+found[0], "BINDIR="+bin, "EMU=beam", "PROGNAME=erl", "HOME=/")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", about, err)
		}
		_, told, _ := strings.Cut(string(out), "-home\n/\n--\n")
		told, _, _ = strings.Cut("\n"+told, "\n-extra\n")
		got, err := Line{OTP: found[2], Args: args, Environ: c.environ, Dir: "/"}.Read()
		if err != nil {
			t.Fatal(err)
		}
		got.flags = slices.DeleteFunc(got.flags, func(f flag) bool {
			return slices.Contains([]string{"-env", "-epmd", "-emu_args_exit"}, f.name)
		})
		want := flagsOf(strings.Split(strings.TrimPrefix(strings.TrimSuffix(told, "\n"), "\n"), "\n"))
		if diff := cmp.Diff(want, got.flags, cmp.AllowUnexported(flag{}), cmp.Transformer("none", func(s []string) string { return strings.Join(s, "|") })); diff != "" {
			t.Errorf("%s (-erlexec +ours):\n%s", about, diff)
		}
	}
}

func TestANameIsTakenAsTheNodeTakesIt(t *testing.T) {
	for vmArgs, want := range map[string]string{
		"-name a@b\n-name c@d\n":            "a@b long",
		"-name a@b\n-sname c\n":             "c short",
		"-sname c +K true\n":                "c short",
		"# -name a\n":                       " long",
		"-name\n-name b@c\n":                " long",
		"-sname a b\n-name c@d":             "c@d long",
		"-args_file /dev/null\n-name 'a@b'": "a@b long",
	} {
		name, short := read(t, vmArgs).Name()
		got := name + " long"
		if short {
			got = name + " short"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", vmArgs, got, want)
		}
	}
}

func TestTwoCookiesCancelEachOther(t *testing.T) {
	for vmArgs, want := range map[string]string{
		"-setcookie one\n":                       "one",
		"-setcookie one\n-setcookie two\n":       "",
		"-setcookie one\n-setcookie a@b other\n": "one",
		"-setcookie a@b other\n":                 "",
		"-setcookie one\n-setcookie\n":           "",
		"-setcookie one +A 4\n":                  "one",
		"-nocookie\n":                            "nocookie",
	} {
		if got := read(t, vmArgs).Cookie(); got != want {
			t.Errorf("%q: %q, want %q", vmArgs, got, want)
		}
	}
	if got := read(t, "-setcookie one\n", "ERL_FLAGS=-setcookie two").Cookie(); got != "" {
		t.Errorf("one of them in the environment: %q", got)
	}
}

func TestTheEnvironmentSaysWhatAnArgumentsFileMay(t *testing.T) {
	for _, name := range []string{"ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "ERL_OTP27_FLAGS"} {
		if !read(t, "", name+"=-heart").Has("-heart") {
			t.Errorf("%s is not read", name)
		}
	}
	for _, name := range []string{"ERL_OTP25_FLAGS", "ERL_COMPILER_FLAGS", "MY_ERL_FLAGS"} {
		if read(t, "", name+"=-heart").Has("-heart") {
			t.Errorf("%s is read", name)
		}
	}
}

func TestAnArgumentsFileThatCannotBeReadIsNamed(t *testing.T) {
	loop := filepath.Join(t.TempDir(), "loop")
	if err := os.WriteFile(loop, []byte("-args_file "+loop), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/nowhere/vm.args": "open /nowhere/vm.args", loop: "name one another without an end"} {
		if _, err := (Line{Args: []string{"-args_file", path}}).Read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestParametersComeFromFilesAndCountMoreOnTheLine(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"sys.config":   `[{kernel, [{a, 1}, {b, 1}, {c, 1}]}, "more", {stdlib, [{a, 9}]}].`,
		"more.config":  `[{kernel, [{b, 2}]}].`,
		"other.config": `[{kernel, [{c, 3}]}].`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Line{Args: []string{"-config", filepath.Join(dir, "sys"), "other", "-kernel", "d", "4", "d", "5", "-kernel", "d", "6", "e", "{127,0,0,1}"}, Dir: dir}.Read()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]term.Term{"a": int64(1), "b": int64(2), "c": int64(3), "d": int64(5), "e": term.Tuple{int64(127), int64(0), int64(0), int64(1)}}
	if diff := cmp.Diff(want, a.Parameters("kernel")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOTPIsTheReleaseOfAnERTS(t *testing.T) {
	for erts, want := range map[string]string{"13.1.5": "25", "15.2.7": "27", "17.1.1": "29"} {
		if got := OTP(erts); got != want {
			t.Errorf("%s is OTP %s", erts, got)
		}
	}
}
