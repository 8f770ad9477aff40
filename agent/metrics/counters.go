package metrics

import (
	"slices"
	"strings"
	"sync"
	"time"

	"theseus/agent/api"
)

// What the labels can be, so that there is an end of them, and a first event is an increase.
var (
	kinds    = []string{"upgrade", "install", "rollback", "unpack"}
	outcomes = []api.Outcome{api.Committed, api.Unpacked, api.Refused, api.Aborted, api.Reverted, api.Broken, api.Interrupted}
	steps    = []string{"receive", "verify", "plan", "unpack", "check", "install", "restart", "commit"}
)

// ends are the steps that an event ends.
var ends = map[string]string{
	"package.received": "receive", "package.verified": "verify", "upgrade.planned": "plan", "release.unpacked": "unpack",
	"release.verified": "unpack", "node.checked": "check", "node.installed": "install", "node.restarted": "restart",
	"upgrade.committed": "commit", "install.committed": "commit", "rollback.committed": "commit",
}

// Counters count upgrades since the agent's start. Its zero value is ready.
type Counters struct {
	mu    sync.Mutex
	ended map[[2]string]float64 // by kind and outcome
	at    map[api.Outcome]time.Time
	took  map[string]*distribution // by step
	whole distribution
	step  time.Time // when the last one was done
}

// Record is told of each event. It waits for nothing.
func (c *Counters) Record(e api.Event) {
	if e.Upgrade == "" || e.Kind == api.KindProgress {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if step := ends[e.Kind]; step != "" {
		c.distribution(step).add(c.lasted(e).Seconds())
	}
	c.step = e.Time
	if e.Result != nil && e.Result.Outcome != api.Probation {
		c.end(e)
	}
}

// lasted is what the event says of its step, or the time since the one before.
func (c *Counters) lasted(e api.Event) time.Duration {
	if ms, said := e.Attrs["ms"].(int64); said {
		return time.Duration(ms) * time.Millisecond
	}
	if c.step.IsZero() {
		return 0
	}
	return e.Time.Sub(c.step)
}

func (c *Counters) end(e api.Event) {
	kind, _, _ := strings.Cut(e.Kind, ".")
	if !slices.Contains(kinds, kind) || !slices.Contains(outcomes, e.Result.Outcome) {
		return
	}
	if c.ended == nil {
		c.ended, c.at = map[[2]string]float64{}, map[api.Outcome]time.Time{}
	}
	c.ended[[2]string{kind, string(e.Result.Outcome)}]++
	c.at[e.Result.Outcome] = e.Time
	c.whole.add(e.Result.Duration.Seconds())
	c.step = time.Time{}
}

func (c *Counters) distribution(step string) *distribution {
	if c.took == nil {
		c.took = map[string]*distribution{}
	}
	if c.took[step] == nil {
		c.took[step] = &distribution{}
	}
	return c.took[step]
}

// Families are what was counted.
func (c *Counters) Families() []Family {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := Family{Name: "theseus_upgrades_total", Help: "Upgrades, installations, rollbacks and unpackings that ended, by how.", Kind: Counter}
	for _, kind := range kinds {
		for _, outcome := range outcomes {
			if (kind == "unpack") == (outcome == api.Unpacked) || outcome == api.Refused || outcome == api.Aborted {
				ended.Samples = append(ended.Samples, Sample{Labels: Labels{"kind", kind, "outcome", string(outcome)}, Value: c.ended[[2]string{kind, string(outcome)}]})
			}
		}
	}
	last := Family{Name: "theseus_upgrade_last_end_timestamp_seconds", Help: "When the last one with this outcome ended.", Kind: Gauge}
	for _, outcome := range outcomes {
		if at, there := c.at[outcome]; there {
			last.Samples = append(last.Samples, Sample{Labels: Labels{"outcome", string(outcome)}, Value: seconds(at)})
		}
	}
	whole := Family{Name: "theseus_upgrade_duration_seconds", Help: "From the request to the end.", Kind: histogram, Samples: c.whole.samples(nil)}
	took := Family{Name: "theseus_upgrade_step_duration_seconds", Help: "Of each step; of install the call of install_release.", Kind: histogram}
	for _, step := range steps {
		took.Samples = append(took.Samples, c.distribution(step).samples(Labels{"step", step})...)
	}
	return []Family{ended, last, whole, took}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
