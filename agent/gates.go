package agent

import (
	"context"
	"fmt"
	"time"

	"theseus/agent/api"
	"theseus/agent/gate"
	"theseus/agent/notify"
	"theseus/agent/plugin/host"
	"theseus/agent/upgrade"
)

// gatesOf is where the gates are. What they run has the environment of the container, but not what is between the service manager and
// the agent.
func (a *agent) gatesOf(environ []string) gate.Source {
	return gate.Source{
		File: a.config.Gates, Volume: a.config.Volume,
		Host: host.Host{Path: host.Beside(), Init: a.init, Env: notify.Strip(environ), Scratch: a.config.RunDir},
	}
}

// checkGates tells at once what would only be told to the next upgrade.
func (a *agent) checkGates() {
	if _, err := a.engine.Gates(); err != nil {
		a.journal.record(api.Event{
			Time: time.Now(), Kind: "gates.unusable", Message: err.Error(),
			Error: &api.Error{Code: api.CodeUnusableGates, Message: err.Error(), State: "every upgrade is refused"},
		})
	}
}

// Gates asks each gate once, now. An upgrade under way asks them itself.
func (a *agent) Gates(ctx context.Context) (api.Gates, error) {
	if err := a.undecided("ask the gates"); err != nil {
		return api.Gates{}, err
	}
	if a.engine.Current() != nil {
		return api.Gates{}, a.busy(upgrade.ErrBusy)
	}
	set, err := a.engine.Gates()
	if err != nil {
		return api.Gates{}, &api.Error{Code: api.CodeUnusableGates, Message: err.Error(), State: "every upgrade is refused"}
	}
	_, release := a.keeper.snapshot()
	about := gate.Subject{Name: release.Name, From: release.Version, To: release.Version, Node: a.node}
	if set.Counts() {
		if !a.engine.Counting.TryLock() { // another check, or an upgrade that has begun since
			return api.Gates{}, &api.Error{Code: api.CodeBusy, Message: "cannot ask the gates: the node counts for somebody else what it logs"}
		}
		defer a.engine.Counting.Unlock()
		about.Since, err = a.count(ctx)
		defer a.forget(context.WithoutCancel(ctx))
	}
	if err != nil {
		return api.Gates{}, &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot ask the gates: %v", err)}
	}
	answer := api.Gates{Settle: set.Settle, Gates: []api.Gate{}}
	once := set.Once()
	for i, r := range once.Ask(ctx, gate.Now, about) {
		answer.Gates = append(answer.Gates, describeGate(set.Gates[i], r))
	}
	return answer, nil
}

func describeGate(g gate.Gate, r gate.Result) api.Gate {
	d := api.Gate{Name: g.Name, Kind: g.Kind, OK: r.Err == nil, Took: r.Took}
	for _, when := range g.When {
		d.When = append(d.When, string(when))
	}
	if r.Err != nil {
		d.Reason = r.Err.Error()
	}
	return d
}

func (a *agent) node(ctx context.Context) (gate.Node, error) {
	node, err := a.keeper.current()
	if err != nil {
		return nil, err
	}
	return node.connect(ctx)
}

// countTimeout is for what a node is asked before its gates are, and after them.
const countTimeout = 5 * time.Second

func (a *agent) count(ctx context.Context) (*gate.Vitals, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	node, err := a.node(ctx)
	if err != nil {
		return nil, err
	}
	return gate.Begin(ctx, node)
}

func (a *agent) forget(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	if node, err := a.node(ctx); err == nil {
		_ = node.ForgetVitals(ctx)
	}
}
