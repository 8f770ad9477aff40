package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/metrics"
)

// metricsRetry is the time between two tries to have AGENT_METRICS_ADDR.
const metricsRetry = 5 * time.Second

// Metrics are the state of things, and what was counted.
func (a *agent) Metrics() []metrics.Family {
	s := a.Status()
	families := []metrics.Family{
		labelled("theseus_agent_info", "Version of the agent.", "version", a.version),
		labelled("theseus_release_info", "What runs, or boots.", "name", s.Release.Name, "version", s.Release.Version),
		metrics.One(metrics.Gauge, "theseus_node_up", "Whether all applications of the node run.", truth(s.Node.State == api.NodeRunning)),
		nodeState(s.Node.State),
		metrics.One(metrics.Counter, "theseus_node_restarts_total", "Launches of the node after its first one, whoever asked for them.", float64(s.Node.Restarts.Count)),
		metrics.One(metrics.Gauge, "theseus_upgrade_in_progress", "Whether an upgrade is under way; one on probation is.", truth(s.Upgrade != nil)),
		metrics.One(metrics.Gauge, "theseus_probation", "Whether a release waits for its commit.", truth(s.Upgrade != nil && s.Upgrade.Waits())),
		metrics.One(metrics.Gauge, "theseus_quarantined_releases", "Releases that were given up and not tried again, as agent status lists them.", float64(len(s.Quarantined))),
		metrics.One(metrics.Counter, "theseus_orphans_reaped_total", "Processes without a parent that the agent reaped.", float64(s.Agent.Orphans)),
	}
	if !s.Node.Since.IsZero() {
		families = append(families, metrics.One(metrics.Gauge, "theseus_node_start_time_seconds", "Launch of this incarnation of the node.", unixSeconds(s.Node.Since)))
	}
	if s.Upgrade != nil && s.Upgrade.Waits() {
		families = append(families, metrics.One(metrics.Gauge, "theseus_probation_deadline_timestamp_seconds", "When the old release is brought back.", unixSeconds(s.Upgrade.CommitBy)))
	}
	if free, err := a.volume.Free(); err == nil {
		families = append(families, metrics.One(metrics.Gauge, "theseus_volume_free_bytes", "Room on the volume for the agent.", float64(free)))
	}
	families = append(families, a.counters.Families()...)
	return append(families, metrics.Process(unixSeconds(a.since))...)
}

func labelled(name, help string, labels ...string) metrics.Family {
	return metrics.Family{Name: name, Help: help, Kind: metrics.Gauge, Samples: []metrics.Sample{{Labels: labels, Value: 1}}}
}

func nodeState(now string) metrics.Family {
	f := metrics.Family{Name: "theseus_node_state", Help: "What the node is doing: one of them is 1.", Kind: metrics.Gauge}
	for _, state := range []string{api.NodeBooting, api.NodeRunning, api.NodeStopping, api.NodeDown, api.NodeRestarting} {
		f.Samples = append(f.Samples, metrics.Sample{Labels: metrics.Labels{"state", state}, Value: truth(state == now)})
	}
	return f
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// Ready is the same as Health: a probe of either kind sees the same node.
func (a *agent) Ready(ctx context.Context) error { return a.Health(ctx) }

// Alive has no objection while the loop that keeps the node turns, or has not begun. An upgrade, a boot and a node that is down are no reasons: a
// new container would not be better off, and would lose what the node knows.
func (a *agent) Alive(ctx context.Context) error {
	if a.boot.Load() == nil {
		return nil
	}
	return a.turns.feel(ctx, a.keeper.pulse)
}

// turns says whether the keeper's loop turns, of which one may not see much at any moment: between two nodes it is elsewhere
// for a while. Probes may come as seldom as they like, so the time runs from the first one that did not meet it.
type turns struct {
	limit time.Duration

	mu     sync.Mutex
	asked  time.Time
	missed time.Time // first, since it was met
}

const (
	turnTime   = time.Second     // to meet the loop
	forgetTime = 5 * time.Minute // what was so long ago is no row of misses
)

func (t *turns) feel(ctx context.Context, pulse <-chan struct{}) error {
	brief, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	met := false
	select {
	case <-pulse:
		met = true
	case <-brief.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	forgotten := now.Sub(t.asked) > forgetTime
	t.asked = now
	switch {
	case met:
		t.missed = time.Time{}
	case t.missed.IsZero() || forgotten:
		t.missed = now
	case time.Since(t.missed) > t.limit:
		return errors.New("the loop that keeps the node is stuck")
	}
	return nil
}
