package volume

import (
	"os"
	"path/filepath"
	"testing"
)

// template is a release with a sys.config.src alone, and a vm.args.
func template(version string) []member {
	return append(without("sys.config", thin(version)), file("releases/"+version+"/sys.config.src", "[{demo,[{port,${PORT}}]}]."))
}

func TestAFilledInConfigurationStandsWhereReleaseHandlerReadsIt(t *testing.T) {
	v := seeded(t)
	publish(t, v, template("1.1.0"))
	for _, content := range []string{"[{demo,[{port,1}]}].", "[{demo,[{port,2}]}]."} {
		must(t, v.Configure("1.1.0", []Configured{{"sys.config", []byte(content)}}))
		path := filepath.Join(v.ReleaseDir("1.1.0"), "sys.config")
		if got := read(t, path); got != content {
			t.Errorf("sys.config is %q, want %q", got, content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("its mode is %v, %v: it may hold secrets", info.Mode(), err)
		}
	}
	must(t, v.Verify("1.1.0"))
	must(t, v.Remove("1.1.0"))
	if _, err := os.Stat(v.ReleaseDir("1.1.0")); !os.IsNotExist(err) {
		t.Errorf("its directory is there still: %v", err)
	}
}

func TestAConfigurationThatThePackageBroughtStaysAsItIs(t *testing.T) {
	v := seeded(t)
	must(t, v.Configure("1.0.0", []Configured{{"sys.config", []byte("[].")}, {"vm.args", nil}}))
	must(t, v.Verify("1.0.0"))
	for _, test := range [][2]string{{"1.0.0", "start.boot"}, {"1.0.0", "../1.1.0/sys.config"}, {"2.0.0", "sys.config"}} {
		if err := v.Configure(test[0], []Configured{{test[1], nil}}); err == nil {
			t.Errorf("%v was written", test)
		}
	}
}

func TestADamagedTemplateIsRestoredAndFilledInAgain(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "release"))
	publish(t, v, template("1.0.0"))
	configured := []Configured{{"sys.config", []byte("[].")}}
	must(t, v.Configure("1.0.0", configured))
	write(t, filepath.Join(v.ReleaseDir("1.0.0"), "sys.config.src"), "damaged")
	damage, err := v.Repair("1.0.0")
	if damage == nil || err != nil {
		t.Fatalf("the damage is %v, %v", damage, err)
	}
	must(t, v.Configure("1.0.0", configured))
	must(t, v.Verify("1.0.0"))
}
