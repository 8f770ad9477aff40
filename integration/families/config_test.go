package families_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/integration/families"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// TestAConfigurationChangesInServiceAndBack: sys.config of 1.1.0 changes tide, adds pilot and lacks berth.
func TestAConfigurationChangesInServiceAndBack(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		l := conceive(t, set, family("systools"))
		l.boots()
		l.upgrades()
		l.wasTold(`{[{tide,flood}],[{pilot,"on board"}],[berth]}`)
		l.hasEnv(`[{pilot,"on board"},{place,"the harbour"},{tide,flood}]`)
		l.rollsBack()
		l.wasTold(`{[{tide,ebb}],[{berth,7}],[pilot]}`)
		l.hasEnv(`[{berth,7},{place,"the harbour"},{tide,ebb}]`)
	})
}

// TestWhatWaitsForTheNextStartIsNamed: the flags of the node are those that it was started with, whatever is installed.
func TestWhatWaitsForTheNextStartIsNamed(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		l := conceive(t, set, family("systools"))
		first := l.with(families.First, "-env HARBOUR old\n-setcookie hush\n+P 300000\n")
		second := l.with(families.Second, "-env HARBOUR new\n-setcookie hush\n+P 400000\n-env MAST tall\n")
		l.Must(os.WriteFile(filepath.Join(l.dir, l.family.Name+"-"+families.First+".tar.gz"), first, 0o644))
		l.boots()

		l.Ends(l.Upgrade(second), 0)
		l.runs(families.Second)
		l.warned("vm.args differs in +P, -env HARBOUR, -env MAST: that takes effect when the node is restarted")
		if got := l.RPC("os", "getenv", `["HARBOUR"]`); got != `"old"` {
			t.Errorf("it took effect in the node that runs: %s", got)
		}
		l.rollsBack()
		l.warned()
		l.Ends(l.Agent(nil, "rollback", families.Second), 0)
		l.Must(l.Restart(t.Context(), ship.Grace))
		l.runs(families.Second)
		if got := l.RPC("os", "getenv", `["HARBOUR"]`); got != `"new"` {
			t.Errorf("it did not take effect at the next start: %s", got)
		}
		l.Ends(l.Agent(nil, "rollback", families.First), 0)
		l.warned("vm.args differs in +P, -env HARBOUR, -env MAST: that takes effect when the node is restarted")
	})
}

// TestAConfigurationThatHasNoTextIsRefused: what a program has printed of a fun would be read as nothing at all, and reset the
// environment of every application.
func TestAConfigurationThatHasNoTextIsRefused(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		l := conceive(t, set, family("systools"))
		l.boots()
		bad, err := repack.Bytes(l.pkg(families.Second), func(name string, content []byte) (string, []byte) {
			if strings.HasSuffix(name, "/sys.config") {
				content = []byte("[{tally, [{place, \"the harbour\"},\n {crew, #Fun<tally.0.1234>}]}].\n")
			}
			return name, content
		})
		l.Must(err)
		a := l.Ends(l.Upgrade(bad), 3)
		for _, words := range []string{"line 2: #Fun<tally.0.1234> has no text form", "tally 1.0.0 still runs, nothing was changed"} {
			if !strings.Contains(a.Stderr, words) {
				t.Errorf("it does not say %q: %s", words, a.Stderr)
			}
		}
		l.hasEnv(`[{berth,7},{place,"the harbour"},{tide,ebb}]`)
	})
}

// wasTold compares what config_change/3 got.
func (l *life) wasTold(want string) {
	l.T.Helper()
	if got := l.RPC("persistent_term", "get", "[tally_config]"); got != want {
		l.T.Errorf("config_change was told %s, not %s", got, want)
	}
}

func (l *life) hasEnv(want string) {
	l.T.Helper()
	if got := l.RPC("lists", "sort", "["+l.RPC("application", "get_all_env", "[tally]")+"]"); got != want {
		l.T.Errorf("its environment is %s, not %s", got, want)
	}
}

// with is the family's package of a version with a vm.args.
func (l *life) with(version, vmArgs string) []byte {
	l.T.Helper()
	pkg, err := repack.Bytes(l.pkg(version), repack.Keep, repack.Member{Name: "releases/" + version + "/vm.args", Content: []byte(vmArgs)})
	l.Must(err)
	return pkg
}

// warned compares the warnings of the last upgrade or rollback, which are told before the installation begins.
func (l *life) warned(want ...string) {
	l.T.Helper()
	history := l.History()
	last := slices.IndexFunc(history, func(e api.Event) bool { return e.Upgrade == history[len(history)-1].Upgrade })
	var before []string
	for _, e := range history[last:] {
		if e.Kind == "install.begun" {
			break
		}
		if e.Kind == "upgrade.warned" {
			before = append(before, e.Message)
		}
	}
	result := history[len(history)-1].Result
	if result == nil {
		l.T.Fatalf("the last event is no result: %+v", history[len(history)-1])
	}
	if !slices.Equal(before, want) || !slices.Equal(result.Warnings, want) {
		l.T.Errorf("it warned before with %q and at its end with %q, want %q", before, result.Warnings, want)
	}
}
