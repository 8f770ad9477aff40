package volume

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ofMix is a release as mix release packs it: its launchers first, its records and its cookie beside its directory.
func ofMix(version string) []member {
	dir := "releases/" + version + "/"
	return append(append([]member{file("bin/demo.bat", "rem"), file("releases/COOKIE", "secret")}, thin(version)...), file(dir+"env.sh", "#\n"), file(dir+"remote.vm.args", "#\n"), file(dir+"consolidated/Elixir.Enumerable.beam", "x"))
}

func TestWhatMixHasBesideAReleaseComesIntoItsDirectory(t *testing.T) {
	v := seeded(t)
	publish(t, v, ofMix("1.1.0"))
	for name, want := range map[string]os.FileMode{"COOKIE": 0o600, "bin/demo": 0o644, "bin/demo.bat": 0o644, Pristine: 0o644} {
		if info, err := os.Stat(filepath.Join(v.ReleaseDir("1.1.0"), name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{"bin", "releases/COOKIE", "releases/1.1.0/sys.config"} {
		if _, err := os.Lstat(v.Path(name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	must(t, v.Verify("1.1.0"))
	must(t, v.Configure("1.1.0", []Configured{{"sys.config", []byte("[].")}}))
	must(t, v.Verify("1.1.0"))
	modules, err := v.Consolidated("1.0.0", "1.1.0")
	if diff := cmp.Diff([]string{"Elixir.Enumerable"}, modules); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := os.Remove(filepath.Join(v.ReleaseDir("1.1.0"), "COOKIE")); err != nil {
		t.Fatal(err)
	}
	damage, err := v.Repair("1.1.0")
	if damage == nil || err != nil {
		t.Errorf("the damage is %v, %v", damage, err)
	}
	must(t, v.Verify("1.1.0"))
}

func TestLaunchersAndCookiesOfOthersStayOut(t *testing.T) {
	v := seeded(t)
	publish(t, v, append([]member{file("releases/COOKIE", "secret")}, thin("1.1.0")...))
	for _, name := range []string{"bin", "releases/COOKIE", "releases/1.1.0/bin", "releases/1.1.0/COOKIE"} {
		if _, err := os.Lstat(v.Path(name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	must(t, v.Verify("1.1.0"))
}

func TestACommandIsReplaced(t *testing.T) {
	v := seeded(t)
	for _, script := range []string{"#!/bin/sh\n", "#!/bin/sh\ntrue\n"} {
		must(t, v.PlaceCommand("demo", []byte(script)))
		if info, err := os.Stat(v.Path("bin/demo")); err != nil || info.Mode() != 0o755 || read(t, v.Path("bin/demo")) != script {
			t.Errorf("%v, %v", info, err)
		}
	}
	for _, name := range []string{"../demo", "a/b", "", ".tmp"} {
		if err := v.PlaceCommand(name, nil); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}
