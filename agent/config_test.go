package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/volume"
)

func TestConfigHasDefaultsThatFitAContainer(t *testing.T) {
	got, err := ConfigFrom(nil)
	want := Config{
		Volume: "/var/lib/release", Seed: "/usr/share/agent/seed", SeedPolicy: SeedNewer, RunDir: "/run/agent",
		StopTimeout: 7 * time.Second, BootTimeout: time.Minute, RestartDelay: time.Second, RestartLimit: 10, BootAttempts: 3, BootSpan: time.Minute, HeartTimeout: time.Minute, Settle: 2 * time.Second, Nofile: 65536,
		CommitWithin: time.Hour, Drift: DriftReverts, Gates: "/etc/agent/gates.toml", Sources: "/etc/agent/sources.toml", Keep: volume.Keep{Releases: 3}, Limits: volume.DefaultLimits,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
}

func TestConfigNamesEverythingThatIsWrong(t *testing.T) {
	wrong := []string{
		"AGENT_VOLUME=relative", "AGENT_SEED_POLICY=newest", "AGENT_STOP_TIMEOUT=-1s", "AGENT_SETTLE=soon", "AGENT_COMMIT_WITHIN=0s",
		"AGENT_PUBLIC_KEYS=team.pub", "AGENT_SEED_SIGNATURE=maybe", "AGENT_DOWNGRADE=never", "AGENT_DRIFT=ask",
		"AGENT_NOFILE=many", "AGENT_DIST_PORT=70000", "AGENT_ALLOW_UIDS=1000,root", "AGENT_PACKAGE_LIMITS=files=none", "AGENT_LOG=xml", "AGENT_METRICS_ADDR=9464",
	}
	_, err := ConfigFrom(wrong)
	if err == nil {
		t.Fatal("all of it was accepted")
	}
	for _, kv := range wrong {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.Contains(err.Error(), name+`="`+value+`"`) {
			t.Errorf("%s is not named in %q", kv, err)
		}
	}
}

func TestHelpListsEveryVariable(t *testing.T) {
	for _, v := range variables {
		if !strings.Contains(Help(), v.name) {
			t.Errorf("%s is not in the help", v.name)
		}
	}
}

func TestNeitherSocketNorCookieIsOnTheVolume(t *testing.T) {
	for dir, ok := range map[string]bool{"/srv/release": false, "/srv/release/run": false, "/srv/release-run": true, "/srv": true} {
		if _, err := ConfigFrom([]string{"AGENT_VOLUME=/srv/release", "AGENT_RUN_DIR=" + dir}); (err == nil) != ok {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestAVolumeThatIsNoneHoldsNothing(t *testing.T) {
	_, err := ConfigFrom([]string{"AGENT_VOLUME=relative"})
	if got, want := fmt.Sprint(err), `cannot use AGENT_VOLUME="relative": it is no absolute path`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestASignedSeedNeedsKeys(t *testing.T) {
	if _, err := ConfigFrom([]string{"AGENT_SEED_SIGNATURE=required"}); err == nil || !strings.Contains(err.Error(), "AGENT_PUBLIC_KEYS names no keys") {
		t.Error(err)
	}
	if _, err := ConfigFrom([]string{"AGENT_SEED_SIGNATURE=required", "AGENT_PUBLIC_KEYS=/etc/agent/keys"}); err != nil {
		t.Error(err)
	}
}

func TestDowngradesAreRefusedWhereSignaturesAreNeeded(t *testing.T) {
	for environ, want := range map[string]bool{
		"": false, "AGENT_DOWNGRADE=refuse": true, "AGENT_PUBLIC_KEYS=/k": true, "AGENT_PUBLIC_KEYS=/k AGENT_DOWNGRADE=allow": false,
	} {
		c, err := ConfigFrom(strings.Fields(environ))
		if c.RefusesDowngrade() != want || err != nil {
			t.Errorf("%s: %v, %v", environ, !want, err)
		}
	}
}
