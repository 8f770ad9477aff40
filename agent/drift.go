package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/agent/upgrade"
	"theseus/volume"
)

const whenItRuns = "try again when it runs"

// driftTimeout is for a node that reads all of its code from the volume.
const driftTimeout = time.Minute

// Drift compares the node with the release that it runs. While that changes it cannot be.
func (a *agent) Drift(ctx context.Context) (api.Drift, error) {
	ctx, cancel := context.WithTimeout(ctx, driftTimeout)
	defer cancel()
	if !a.comparing.TryLock() { // it is work for the node, and a request that is given up goes on there
		return api.Drift{}, &api.Error{Code: api.CodeBusy, Message: "cannot compare the node with its release: that is being done already", Hint: "try again in a while"}
	}
	defer a.comparing.Unlock()
	if u := a.engine.Current(); u != nil && installing(u) {
		return api.Drift{}, a.busy(upgrade.ErrBusy)
	}
	of, err := a.keeper.compared()
	if err != nil {
		return api.Drift{}, &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot compare the node with its release: %v", err), Hint: whenItRuns}
	}
	release := of.release
	conn, err := of.node.connect(ctx)
	if err != nil {
		return api.Drift{}, &api.Error{Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot compare the node with %s: %v", release.Version, err)}
	}
	found, err := drift.Check(ctx, conn, release)
	if changed := a.unchanged(of); changed != nil { // which explains an error, too
		return api.Drift{}, changed
	}
	if err != nil {
		return api.Drift{}, fmt.Errorf("cannot compare the node with %s %s: %w", release.Name, release.Version, err)
	}
	return api.Drift{
		Name: release.Name, Version: release.Version, Modules: found.Modules, Differences: found.Differences, Unknown: found.Unknown,
		More:    found.Beyond(func(drift.Difference) bool { return true }),
		Drifted: slices.ContainsFunc(found.Differences, drift.IsDrift),
	}, nil
}

// comparison is of one node with one release, and is about none where either of them changes before its end.
type comparison struct {
	node     *incarnation
	release  volume.Release
	installs int
}

// compared are the incarnation that is up, and the release that it runs. One that boots lacks what it has not started yet.
func (k *keeper) compared() (comparison, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state() != api.NodeRunning {
		return comparison{}, k.absent()
	}
	return comparison{k.node, k.node.release, k.node.installs}, nil
}

// unchanged is an error where the answer would be about a node that is no more, or about two releases.
func (a *agent) unchanged(of comparison) error {
	now, err := a.keeper.compared()
	if err != nil || now.node != of.node || of.node.ended() {
		return &api.Error{Code: api.CodeNodeDown, Message: "cannot compare the node with its release: it ends, or has ended meanwhile", Hint: whenItRuns}
	}
	if u := a.engine.Current(); u != nil && installing(u) {
		return a.busy(upgrade.ErrBusy)
	}
	if now.installs != of.installs {
		return &api.Error{Code: api.CodeBusy, Message: "cannot compare the node with its release: an upgrade has changed it meanwhile", Hint: "try again"}
	}
	return nil
}
