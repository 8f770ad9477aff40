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
)

// TestEveryKillLeavesACompleteKnownRelease kills the container at random moments of upgrades and rollbacks, and
// sometimes the boot after it as well. AGENT_TEST_KILLS asks for more kills, AGENT_TEST_SEED repeats a run.
func TestEveryKillLeavesACompleteKnownRelease(t *testing.T) {
	kills := number(t, "AGENT_TEST_KILLS", 10)
	seed := number(t, "AGENT_TEST_SEED", int(time.Now().UnixNano()%1e6))
	onEachOTP(t, func(t *testing.T, set *images.Set) {
		t.Logf("AGENT_TEST_SEED=%d", seed)
		w := wreck{ship: launch(t, set), chance: rand.New(rand.NewPCG(uint64(seed), 0))}
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
	*ship
	chance *rand.Rand
	from   string // what was permanent before the attempt
}

// wreckOnce begins to change the release, and kills something at a moment that chance chooses.
func (w *wreck) wreckOnce() {
	w.t.Helper()
	w.from = w.status().Release.Version
	attempt, about := w.attempt()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		attempt(w.t.Context())
	}()
	w.t.Logf("%s from %s, %s", about, w.from, w.kill())
	<-ended
	w.must(w.Start(w.t.Context()))
	for w.chance.IntN(4) == 0 {
		w.t.Logf("and %s while it boots", w.kill())
		w.must(w.Start(w.t.Context()))
	}
}

// attempt is an upgrade, or a rollback where one is possible.
func (w *wreck) attempt() (do func(context.Context), about string) {
	next := map[string]string{images.Seed: images.Second, images.Second: images.Third}[w.from]
	if next == "" || w.from != images.Seed && w.chance.IntN(2) == 0 {
		return func(ctx context.Context) { w.Exec(ctx, docker.Exec{Args: []string{"agent", "rollback"}}) }, "rollback"
	}
	pkg := w.pkg(next)
	return func(ctx context.Context) {
		w.Exec(ctx, docker.Exec{Args: []string{"agent", "upgrade", "-"}, Stdin: strings.NewReader(string(pkg))})
	}, "upgrade to " + next
}

// kill waits for a moment, kills the container, and waits for its end.
func (w *wreck) kill() string {
	w.t.Helper()
	moment := time.Duration(w.chance.IntN(1500)) * time.Millisecond
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.t.Context().Done():
	}
	w.must(w.Kill(w.t.Context(), "KILL"))
	_, err := w.Wait(w.t.Context())
	w.must(err)
	return fmt.Sprintf("killed after %s", moment)
}

// agrees waits for the node and compares what everybody says of it: one of the two releases of the attempt
// runs, all know the same one, and nothing is left of the attempt.
func (w *wreck) agrees() {
	w.t.Helper()
	w.must(w.Await(w.t.Context(), "a healthy node", patience, w.healthy))
	status := w.status()
	runs := status.Release.Version
	w.serves(runs)
	if status.Volume.Current != runs || status.Boot.Version != runs || status.Upgrade != nil {
		w.t.Errorf("%s runs, the status is %+v", runs, status)
	}
	w.releasesAgree(runs)
	if left := w.sh("cd /var/lib/release && ls -A .agent/stage .agent/trash | grep -v -e '^.agent' -e '^$'; find . -name '*.tmp' -o -name '*.part'"); left != "" {
		w.t.Errorf("left behind: %s", left)
	}
	if state := w.sh("cat /var/lib/release/.agent/state.json"); strings.Contains(state, `"operation"`) {
		w.t.Errorf("an operation is left: %s", state)
	}
}

// releasesAgree compares the agent's list with release_handler's and with the packages that are kept.
func (w *wreck) releasesAgree(runs string) {
	w.t.Helper()
	list := decode[[]api.Release](w.ship, w.ends(w.agent(nil, "releases", "--json"), 0))
	var versions, packages []string
	for _, r := range list {
		versions, packages = append(versions, r.Version), append(packages, r.SHA256+".tar.gz")
		if (r.Status == "permanent") != (r.Version == runs) {
			w.t.Errorf("%s runs, and %s is %s", runs, r.Version, r.Status)
		}
	}
	slices.Sort(packages)
	if kept := strings.Fields(w.sh("ls /var/lib/release/.agent/packages")); !slices.Equal(kept, packages) {
		w.t.Errorf("the releases came from %v, kept are %v", packages, kept)
	}
	if got := w.rpc("release_handler", "which_releases", "[permanent]"); !strings.Contains(got, `"demo","`+runs+`"`) {
		w.t.Errorf("%s runs, and release_handler has %s", runs, got)
	}
	known := w.rpc("release_handler", "which_releases")
	if n := strings.Count(known, `{"demo",`); n != len(versions) {
		w.t.Errorf("the agent knows %v, release_handler %s", versions, known)
	}
}

func (w *wreck) sh(script string) string {
	w.t.Helper()
	out, err := w.Output(w.t.Context(), "sh", "-c", script)
	w.must(err)
	return out
}

// upgradesStill brings the wreck to the last release.
func (w *wreck) upgradesStill() {
	w.t.Helper()
	if w.status().Release.Version == images.Seed {
		w.ends(w.upgrade(w.pkg(images.Second)), 0)
	}
	if w.status().Release.Version == images.Second {
		w.ends(w.upgrade(w.pkg(images.Third)), 0)
	}
	w.serves(images.Third)
}
