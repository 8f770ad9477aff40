package agent

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/heart"
)

// beats are a node's, tick by tick: b is a beat, a dot is silence, u is silence while it is not watched.
func (p pulse) hangsAfter(beats string) int {
	var heard uint64
	for n, c := range beats {
		if c == 'b' {
			heard++
		}
		if p.tick(heard, c != 'u') {
			return n + 1
		}
	}
	return 0
}

func TestAHeartThatIsSilentForItsTimeHangs(t *testing.T) {
	p := pulse{limit: 4}
	for beats, want := range map[string]int{
		"b....":           5,
		"b...b....":       9,
		"b...b...b...b..": 0,
		"b...u...u...u":   0, // an upgrade began, and each time it had all of its time anew
		"b...u....":       9,
		"bbbbuuuuuuuuuuu": 0,
		"b":               0,
	} {
		if got := p.hangsAfter(beats); got != want {
			t.Errorf("%s: it hangs after tick %d, not %d", beats, got, want)
		}
	}
}

func TestSilenceIsNeverCutShortAndTheAgentWakesOnceASecondAtMost(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		time.Minute: 5 * time.Second, 10 * time.Second: time.Second, 10*time.Second + 1: time.Second, time.Hour: 5 * time.Minute,
	} {
		p := newPulse(timeout)
		if p.every != want || time.Duration(p.limit)*p.every < timeout+beatEvery {
			t.Errorf("%s: %d ticks of %s", timeout, p.limit, p.every)
		}
	}
}

// beating is a node whose heart has called, and says what it is told to.
func beating(t *testing.T, script string) (k kept, node *incarnation, says func(frame string)) {
	t.Helper()
	k = keep(t, map[string]string{"1.0.0": script, "1.1.0": waits})
	k.config.HeartTimeout = 2 * time.Second // a node beats at least every five, this one is no BEAM
	node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.process.Signal(unix.SIGKILL)
		<-node.Ended()
		node.heart.Close()
	})
	in, voice := pipe(t)
	_, out := pipe(t)
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(k.config.RunDir, "bin", "heart.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.WriteMsgUnix([]byte(node.id), unix.UnixRights(int(in.Fd()), int(out.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the heart is heard", func() bool { return node.heart.Word() == heart.Closed })
	return k, node, func(frame string) {
		if _, err := voice.WriteString(frame); err != nil {
			t.Error(err)
		}
	}
}

func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !fact(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come that %s", what)
		}
	}
}

func pipe(t *testing.T) (in, out *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), out.Close()) })
	return in, out
}

func TestANodeThatHangsIsAskedForADumpAbortedAndKilled(t *testing.T) {
	const brief, enough = 100 * time.Millisecond, 3 * time.Minute
	for script, c := range map[string]struct {
		status int
		steps  steps // enough for what is to end the node, brief for what comes before
	}{
		"trap 'exit 1' USR1; echo >deaf; while :; do sleep 0.1; done":                {1, steps{dumpAsked: enough}},
		"trap '' USR1; echo >deaf; while :; do sleep 0.1; done":                      {134, steps{dumpAsked: brief, abort: enough}},
		"trap '' USR1 ABRT; echo >deaf; while :; do sleep 0.1; done":                 {137, steps{dumpAsked: brief, abort: brief}},
		"trap 'exit 1' USR1; echo >deaf; kill -STOP $$; while :; do sleep 0.1; done": {1, steps{dumpAsked: enough}},
	} {
		t.Run(script, func(t *testing.T) {
			k, node, _ := beating(t, script)
			k.steps = c.steps
			awaitFile(t, k.volume.Path("deaf"))
			k.update(func() { node.up = true })
			if !k.feel(t.Context(), node) {
				t.Error("it is not found to hang")
			}
			if got := node.process.Exit().Status(); got != c.status {
				t.Errorf("it ends with %d, not %d", got, c.status)
			}
		})
	}
}

func TestANodeIsNotWatchedWhileItBootsStopsOrChanges(t *testing.T) {
	k, node, _ := beating(t, waits)
	for about, change := range map[string]func(){
		"it boots":                func() { node.up = false },
		"it stops with the agent": func() { k.stopping = true },
		"it is restarted":         func() { k.next = "1.1.0" },
		"an upgrade is under way": func() { k.protect = "1.0.0" },
	} {
		k.update(func() { node.up, k.stopping, k.next, k.protect = true, false, "", "" })
		if !k.watched(node) {
			t.Error("a node that is up is not watched")
		}
		k.update(change)
		if k.watched(node) {
			t.Errorf("it is watched while %s", about)
		}
	}
}

// TestANodeIsWatchedWhileItsUpgradeWaits for a person: nothing is done to it, and one that hangs goes back at once.
func TestANodeIsWatchedWhileItsUpgradeWaits(t *testing.T) {
	k, node, _ := beating(t, waits)
	k.update(func() { node.up = true })
	for _, step := range []struct {
		do      func()
		watched bool
	}{
		{func() { k.Protect("1.0.0") }, false},
		{k.Rest, true},
		{func() { k.Protect("1.0.0") }, false},
		{func() { k.Protect("") }, true},
	} {
		step.do()
		if got := k.watched(node); got != step.watched {
			t.Errorf("protected by %q, resting %v: watched %v", k.protect, k.resting, got)
		}
	}
}

func TestWithoutATimeoutNothingIsWatched(t *testing.T) {
	k, node, _ := beating(t, waits)
	k.config.HeartTimeout = 0
	k.update(func() { node.up = true })
	if k.feel(t.Context(), node) {
		t.Error("it was found to hang")
	}
}

func TestATimeoutThatIsShorterThanTwoBeatsIsRefused(t *testing.T) {
	for value, good := range map[string]bool{"0": true, "10s": true, "1h": true, "9s": false, "1ns": false, "soon": false, "-1s": false} {
		if _, err := ConfigFrom([]string{"AGENT_HEART_TIMEOUT=" + value}); (err == nil) != good {
			t.Errorf("%s: %v", value, err)
		}
	}
}
