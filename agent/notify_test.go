package agent

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"theseus/agent/api"
)

func TestTheStatusOfTheServiceIsOneLine(t *testing.T) {
	runs := api.Status{Release: api.Release{Name: "demo", Version: "1.0.0"}, Node: api.Node{State: api.NodeRunning, Name: "demo@127.0.0.1"}}
	with := func(change func(*api.Status)) api.Status {
		s := runs
		change(&s)
		return s
	}
	for want, s := range map[string]api.Status{
		"demo 1.0.0 runs":                    runs,
		"preparing the volume":               {Node: api.Node{State: api.NodeDown}},
		"demo 1.0.0 is booting":              with(func(s *api.Status) { s.Node.State = api.NodeBooting }),
		"demo 1.0.0 is down":                 with(func(s *api.Status) { s.Node.State = api.NodeDown }),
		"demo 1.0.0 runs; upgrade: verified": with(func(s *api.Status) { s.Upgrade = &api.Upgrade{State: "verified"} }),
		"demo 1.0.0 runs; upgrade to 1.1.0: unpacked": with(func(s *api.Status) {
			s.Upgrade = &api.Upgrade{State: "unpacked", To: "1.1.0"}
		}),
		"demo 1.0.0 runs; upgrade to 1.1.0: waits for its commit until 2026-01-02 15:04:05 UTC": with(func(s *api.Status) {
			s.Upgrade = &api.Upgrade{State: "probation", To: "1.1.0", CommitBy: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)}
		}),
		"demo 1.0.0 is down and restarted soon; restarts: 2, the last after exit status 3": with(func(s *api.Status) {
			s.Node.State, s.Node.Restarts = api.NodeRestarting, api.Restarts{Count: 2, Last: "exit status 3"}
		}),
		"demo 1.0.0 runs; node: 12 users": with(func(s *api.Status) { s.Node.Notice = &api.Notice{Status: "12 users"} }),
	} {
		if got := describe(s, false); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := describe(runs, true); got != "demo 1.0.0 is stopping" {
		t.Errorf("%q", got)
	}
}

func TestTheManagerWaitsForABootAnUpgradeAndAStopAndForNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{BootTimeout: time.Minute, StopTimeout: 7 * time.Second}
		a := &agent{config: c, since: time.Now(), keeper: &keeper{config: c}}
		var never time.Time
		node := api.Node{Name: "demo@127.0.0.1", State: api.NodeRunning, Since: time.Now()}
		booting := node
		booting.State = api.NodeBooting
		told := time.Now()
		<-time.After(5 * time.Second)
		for about, c := range map[string]struct {
			status  api.Status
			stopped time.Time
			want    time.Duration
		}{
			"preparing": {api.Status{Node: api.Node{State: api.NodeDown}}, never, 55 * time.Second},
			"booting":   {api.Status{Node: booting}, never, 55 * time.Second},
			"running":   {api.Status{Node: node}, never, 0},
			"checking":  {api.Status{Node: node, Upgrade: &api.Upgrade{State: "checked"}}, never, 0},
			"upgrading": {api.Status{Node: node, Upgrade: &api.Upgrade{State: "probation"}}, never, time.Minute},
			"waiting":   {api.Status{Node: node, Upgrade: &api.Upgrade{State: "probation", CommitBy: told}}, never, 0},
			"stopping":  {api.Status{Node: node, Upgrade: &api.Upgrade{State: "probation"}}, told, 4 * time.Second},
		} {
			if got := a.left(c.status, c.stopped); got != c.want {
				t.Errorf("%s: %v, not %v", about, got, c.want)
			}
		}
	})
}

// TestANodeIsExcusedWhileItIsUpgradedAndNotWhileThatWaits for a person.
func TestANodeIsExcusedWhileItIsUpgradedAndNotWhileThatWaits(t *testing.T) {
	k := &keeper{changed: make(chan struct{})}
	node := &incarnation{up: true}
	for _, step := range []struct {
		do      func()
		excused bool
	}{
		{func() {}, false},
		{func() { k.Protect("1.0.0") }, true},
		{k.Rest, false},
		{func() { k.Protect("1.0.0") }, true},
		{func() { k.Protect("") }, false},
	} {
		step.do()
		if got := k.excuses(node); got != step.excused {
			t.Errorf("protected by %q, resting %v: excused %v", k.protect, k.resting, got)
		}
	}
}

func TestAKeeperWhoseLoopIsStuckIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{StopTimeout: 7 * time.Second}
		k := &keeper{config: c, pulse: make(chan struct{})}
		v := (&agent{config: c, keeper: k}).vigil()
		feel := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return v.feel(ctx)
		}
		node, end := context.WithCancel(t.Context())
		over := make(chan bool)
		go func() { over <- k.beat(t.Context(), node.Done()) }()
		<-time.After(time.Hour)
		if err := feel(); err != nil {
			t.Errorf("while it turns: %v", err)
		}
		end()
		if !<-over {
			t.Error("the end of the node was taken for another")
		}
		<-time.After(10 * time.Second)
		if err := feel(); err != nil {
			t.Errorf("soon after the node's end: %v", err)
		}
		<-time.After(10 * time.Second)
		if err := feel(); err == nil {
			t.Error("a loop that does nothing is taken for one that turns")
		}
	})
}

// TestTheKeepersLoopTurnsWhileAConfigurationIsResolved by the release's own scripts, which may take their time.
func TestTheKeepersLoopTurnsWhileAConfigurationIsResolved(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	write(t, filepath.Join(k.volume.ReleaseDir("1.0.0"), "env.sh"),
		"echo >\"$RELEASE_ROOT/started\"\nwhile [ ! -e \"$RELEASE_ROOT/go\" ]; do sleep 0.1; done\nexit 3\n")
	over := make(chan error)
	go func() {
		_, err := k.launch(t.Context(), ruling{version: "1.0.0"})
		over <- err
	}()
	awaitFile(t, k.volume.Path("started"))
	v := vigil{agent: &agent{config: k.config, keeper: k.keeper}} // that has felt nothing for an age
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := v.feel(ctx); err != nil {
		t.Errorf("while env.sh runs: %v", err)
	}
	write(t, k.volume.Path("go"), "")
	if err := <-over; err == nil || !strings.Contains(err.Error(), "its env.sh ended with status 3") {
		t.Errorf("the launch ended with %v", err)
	}
}
