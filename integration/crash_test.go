package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// TestEveryKillLeavesACompleteKnownRelease kills the container at random moments of upgrades and rollbacks, and
// sometimes the boot after it as well. AGENT_TEST_KILLS asks for more kills, AGENT_TEST_SEED repeats a run.
func TestEveryKillLeavesACompleteKnownRelease(t *testing.T) {
	kills := number(t, "AGENT_TEST_KILLS", 10)
	seed := number(t, "AGENT_TEST_SEED", int(time.Now().UnixNano()%1e6))
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		t.Logf("AGENT_TEST_SEED=%d", seed)
		w := wreck{Ship: ship.Launch(t, set), chance: rand.New(rand.NewPCG(uint64(seed), 0))}
		for range kills {
			w.wreckOnce()
			w.agrees()
		}
		w.upgradesStill()
	})
}

func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("cannot read %s: %v", name, err)
	}
	return n
}

// wreck is a ship that is sunk again and again.
type wreck struct {
	*ship.Ship
	chance *rand.Rand
	from   string // what was permanent before the attempt
}

// wreckOnce begins to change the release, and kills something at a moment that chance chooses.
func (w *wreck) wreckOnce() {
	w.T.Helper()
	w.from = w.Status().Release.Version
	attempt, about := w.attempt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		attempt(w.T.Context())
	}()
	w.T.Logf("%s from %s, %s", about, w.from, w.kill())
	<-ended
	w.Must(w.Start(w.T.Context()))
	for w.chance.IntN(4) == 0 {
		w.T.Logf("and %s while it boots", w.kill())
		w.Must(w.Start(w.T.Context()))
	}
}

// attempt is an upgrade, or a rollback where one is possible.
func (w *wreck) attempt() (do func(context.Context), about string) {
	next := map[string]string{images.Seed: images.Second, images.Second: images.Third}[w.from]
	if next == "" || w.from != images.Seed && w.chance.IntN(2) == 0 {
		return func(ctx context.Context) { w.Exec(ctx, docker.Exec{Args: []string{"agent", "rollback"}}) }, "rollback"
	}
	pkg := w.Package(next)
	return func(ctx context.Context) {
		w.Exec(ctx, docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: strings.NewReader(string(pkg))})
	}, "upgrade to " + next
}

// kill waits for a moment, kills the container, and waits for its end.
func (w *wreck) kill() string {
	w.T.Helper()
	moment := time.Duration(w.chance.IntN(1500)) * time.Millisecond
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.T.Context().Done():
	}
	w.Must(w.Kill(w.T.Context(), "KILL"))
	_, err := w.Wait(w.T.Context())
	w.Must(err)
	return fmt.Sprintf("killed after %s", moment)
}

// agrees waits for the node and compares what everybody says of it: one of the two releases of the attempt
// runs, all know the same one, and nothing is left of the attempt.
func (w *wreck) agrees() {
	w.T.Helper()
	w.Must(w.Await(w.T.Context(), "a healthy node", ship.Patience, w.Healthy))
	status := w.Status()
	runs := status.Release.Version
	w.Serves(runs)
	if status.Volume.Current != runs || status.Boot.Version != runs || status.Upgrade != nil {
		w.T.Errorf("%s runs, the status is %+v", runs, status)
	}
	w.releasesAgree(runs)
	hasRunWell(w.Ship)
	if left := w.sh("cd /var/lib/release && ls -A .agent/stage .agent/trash | grep -v -e '^.agent' -e '^$'; find . -name '*.tmp' -o -name '*.part'"); left != "" {
		w.T.Errorf("left behind: %s", left)
	}
	if state := w.sh("cat /var/lib/release/.agent/state.json"); strings.Contains(state, `"operation"`) {
		w.T.Errorf("an operation is left: %s", state)
	}
}

// releasesAgree compares the agent's list with release_handler's and with the packages that are kept.
func (w *wreck) releasesAgree(runs string) {
	w.T.Helper()
	list := ship.Decode[[]api.Release](w.Ship, w.Ends(w.Agent(nil, "releases", "--json"), 0))
	var versions, packages []string
	for _, r := range list {
		versions, packages = append(versions, r.Version), append(packages, r.SHA256+".tar.gz")
		if (r.Status == "permanent") != (r.Version == runs) {
			w.T.Errorf("%s runs, and %s is %s", runs, r.Version, r.Status)
		}
	}
	slices.Sort(packages)
	if kept := strings.Fields(w.sh("ls /var/lib/release/.agent/packages")); !slices.Equal(kept, packages) {
		w.T.Errorf("the releases came from %v, kept are %v", packages, kept)
	}
	if got := w.RPC("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"demo","`+runs+`"`) {
		w.T.Errorf("%s runs, and release_handler has %s", runs, got)
	}
	known := w.RPC("release_handler", "which_releases")
	if n := strings.Count(known, `{"demo",`); n != len(versions) {
		w.T.Errorf("the agent knows %v, release_handler %s", versions, known)
	}
}

func (w *wreck) sh(script string) string {
	w.T.Helper()
	out, err := w.Output(w.T.Context(), "sh", "-c", script)
	w.Must(err)
	return out
}

// upgradesStill brings the wreck to the last release.
func (w *wreck) upgradesStill() {
	w.T.Helper()
	if w.Status().Release.Version == images.Seed {
		w.Ends(w.Upgrade(w.Package(images.Second)), 0)
	}
	if w.Status().Release.Version == images.Second {
		w.Ends(w.Upgrade(w.Package(images.Third)), 0)
	}
	w.Serves(images.Third)
}
