package families_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/families"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// life is one release of a family under the agent, from its first boot to its last.
type life struct {
	*ship.Ship
	family families.Family
	dir    string // of the packages
	pid    int    // of the node that booted
}

// step is a column of the matrix.
type step struct {
	name string
	do   func(*life)
}

// steps are in their order: what is rolled back from is removed, and comes once more to stay.
var steps = []step{
	{"seed, boot", (*life).boots},
	{"upgrade", (*life).upgrades},
	{"setting", (*life).keepsItsSetting},
	{"rollback", (*life).rollsBack},
	{"setting", (*life).keepsItsSetting},
	{"remove", (*life).removes},
	{"commit", (*life).commits},
	{"restart", (*life).restarts},
	{"setting", (*life).keepsItsSetting},
}

// conceive makes the packages, and what they run in: the demo's image of this OTP, with another seed.
func conceive(t *testing.T, set *images.Set, f families.Family) *life {
	t.Helper()
	l := &life{Ship: ship.Build(t, set), family: f, dir: t.TempDir()}
	l.Must(f.Packages(t.Context(), l.Session, set.OTP, l.dir))
	l.Options = []string{"-v", l.dir + ":/seed:ro", "-e", "AGENT_SEED=/seed/" + f.Name + "-" + families.First + ".tar.gz"}
	for _, variable := range f.Environ {
		l.Options = append(l.Options, "-e", variable)
	}
	return l
}

func (l *life) boots() {
	l.Replace(l.Set.Image)
	l.runs(families.First)
	l.pid = l.Status().Node.PID
	l.RPC(l.family.Asks.Add...)
	l.counts(families.First)
	l.keepsItsSetting()
}

func (l *life) upgrades() {
	l.Ends(l.Upgrade(l.pkg(families.Second)), 0)
	l.runs(families.Second)
	l.counts(families.Second)
	l.isTheSameNode()
}

func (l *life) rollsBack() {
	l.Ends(l.Agent(nil, "rollback"), 0)
	l.runs(families.First)
	l.counts(families.First)
	l.isTheSameNode()
}

func (l *life) removes() {
	l.Ends(l.Agent(nil, "remove", families.Second), 0)
	if left := l.in("cd /var/lib/release; ls -d lib/*-" + families.Second + " releases/" + families.Second + " 2>/dev/null; true"); left != "" {
		l.T.Fatalf("there is still %s", left)
	}
}

func (l *life) commits() {
	l.upgrades()
	if got := l.RPC("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"`+families.Second+`"`) {
		l.T.Fatalf("release_handler has %s", got)
	}
	if got := l.Status().Volume.Current; got != families.Second {
		l.T.Fatalf("the volume boots %s", got)
	}
}

func (l *life) restarts() {
	l.Must(l.Restart(l.T.Context(), ship.Grace))
	l.runs(families.Second)
	l.RPC(l.family.Asks.Add...)
}

// keepsItsSetting asks for what the application's own resource file has otherwise.
func (l *life) keepsItsSetting() {
	l.T.Helper()
	if got := l.RPC(l.family.Asks.Place...); got != l.family.Asks.Here {
		l.T.Fatalf("its setting is %s, not %s", got, l.family.Asks.Here)
	}
}

func (l *life) counts(version string) {
	l.T.Helper()
	if got, want := l.RPC(l.family.Asks.State...), l.family.Asks.States[version]; got != want {
		l.T.Fatalf("its state is %s, not %s", got, want)
	}
}

func (l *life) isTheSameNode() {
	l.T.Helper()
	if now := l.Status().Node.PID; now != l.pid {
		l.T.Fatalf("the node has pid %d, and had %d", now, l.pid)
	}
}

func (l *life) runs(version string) {
	l.T.Helper()
	l.Must(l.Await(l.T.Context(), version+" running", ship.Patience, func(ctx context.Context) error {
		if err := l.Healthy(ctx); err != nil {
			return err
		}
		if got := l.Status().Release.Version; got != version {
			return fmt.Errorf("%s runs", got)
		}
		return nil
	}))
}

// pkg is the family's package of a version.
func (l *life) pkg(version string) []byte {
	l.T.Helper()
	pkg, err := os.ReadFile(filepath.Join(l.dir, l.family.Name+"-"+version+".tar.gz"))
	l.Must(err)
	return pkg
}

// in is what a shell in the container prints.
func (l *life) in(script string) string {
	l.T.Helper()
	out, err := l.Output(l.T.Context(), "sh", "-c", script)
	l.Must(err)
	return out
}
