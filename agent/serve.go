package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"theseus/agent/api"
	"theseus/agent/upgrade"
	"theseus/volume"
)

// Status tells what runs, what the agent is doing, and why this release was booted.
func (a *agent) Status() api.Status {
	node, release := a.keeper.snapshot()
	state := a.volume.State()
	if release.Version == "" {
		release = state.Releases[state.Current]
	}
	s := api.Status{
		Release: describeRelease(release, state, release.Version),
		Node:    node,
		Volume:  api.Volume{Root: a.volume.Root(), Current: state.Current, Previous: state.RollbackTarget()},
		Upgrade: a.engine.Current(),
		Agent:   api.Agent{Version: a.version, PID: os.Getpid(), Since: a.since, Orphans: a.init.Orphans(), Signed: a.config.Trust().Required()},
	}
	if s.Upgrade != nil && s.Upgrade.Waits() {
		s.Volume.Previous = s.Upgrade.From // what it came from is taken back to
	}
	s.Quarantined = a.quarantined(state)
	if boot := a.boot.Load(); boot != nil {
		s.Boot = api.Boot{Version: boot.version, Reason: boot.reason}
	}
	return s
}

// quarantined are the releases on the volume that were given up, and those that were taken off it for that, since the one that
// boots became permanent.
func (a *agent) quarantined(state volume.State) (list []api.Release) {
	for _, r := range a.Releases() {
		if !r.Quarantined.IsZero() {
			list = append(list, r)
		}
	}
	current := state.Releases[state.Current]
	for _, version := range slices.Sorted(maps.Keys(state.Failed)) {
		why := state.Failed[version]
		if _, there := state.Releases[version]; !there && why.Package != "" && why.At.After(current.Permanent) {
			list = append(list, api.Release{
				Name: current.Name, Version: version, Status: "removed", SHA256: why.Package, Failed: why.Reason, Quarantined: why.At,
			})
		}
	}
	return list
}

// Releases lists what is on the volume, in the order in which it was unpacked.
func (a *agent) Releases() []api.Release {
	state := a.volume.State()
	_, running := a.keeper.snapshot()
	list := []api.Release{}
	for _, r := range state.Releases {
		list = append(list, describeRelease(r, state, running.Version))
	}
	slices.SortFunc(list, func(x, y api.Release) int { return x.Unpacked.Compare(y.Unpacked) })
	return list
}

// describeRelease uses release_handler's words: permanent boots, current runs and is not permanent, old was
// permanent, unpacked was not.
func describeRelease(r volume.Release, state volume.State, running string) api.Release {
	status := "unpacked"
	switch {
	case r.Version == state.Current:
		status = "permanent"
	case r.Version == running:
		status = "current"
	case !r.Permanent.IsZero():
		status = "old"
	}
	d := api.Release{
		Name: r.Name, Version: r.Version, Status: status, ERTS: r.ERTS, SHA256: r.Package, Size: r.Size,
		Unpacked: r.Unpacked, SignedBy: r.Signer.Key, Comment: r.Signer.Comment, Failed: state.Failed[r.Version].Reason,
	}
	if state.Quarantined(r.Version) {
		d.Quarantined = state.Failed[r.Version].At
	}
	return d
}

// History is what was recorded on the volume.
func (a *agent) History(limit int) ([]api.Event, error) {
	lines, err := a.volume.History(limit)
	if err != nil {
		return nil, err
	}
	events := make([]api.Event, 0, len(lines))
	for _, line := range lines {
		var e api.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("cannot read the history: %w", err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Health has no objection while the node runs and answers. While its code is changed it may take its time.
func (a *agent) Health(ctx context.Context) error {
	s := a.Status()
	if s.Node.State != api.NodeRunning {
		return &api.Error{Code: api.CodeNodeDown, Message: "the node is " + s.Node.State}
	}
	node, err := a.keeper.current()
	if err != nil || s.Upgrade != nil && installing(s.Upgrade) {
		return nil //nolint:nilerr // it has ended meanwhile, and the next question is told
	}
	if err := node.answers(ctx); err != nil {
		return &api.Error{Code: api.CodeNodeDown, Message: err.Error()}
	}
	return nil
}

// Stop asks for the orderly end of node and agent.
func (a *agent) Stop() {
	a.journal.note("agent.stopping", "the agent was asked to stop", nil)
	a.stop()
}

// Upgrade hands the request to the engine. From the moment that the package is received it lives as long as
// the agent, not as the caller.
func (a *agent) Upgrade(caller context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	if err := a.undecided("begin the upgrade"); err != nil {
		return err
	}
	return a.busy(a.engine.Upgrade(a.upgrades, caller, req, pkg, on))
}

// Unpack brings a package's release to the volume.
func (a *agent) Unpack(caller context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	if err := a.undecided("unpack the package"); err != nil {
		return err
	}
	return a.busy(a.engine.Unpack(a.upgrades, caller, req, pkg, on))
}

// Install is an upgrade to a release that is on the volume.
func (a *agent) Install(_ context.Context, req api.InstallRequest, on func(api.Event)) error {
	if err := a.undecided("install " + req.Version); err != nil {
		return err
	}
	return a.busy(a.engine.Install(a.upgrades, req, on))
}

// Commit makes permanent what waits for that.
func (a *agent) Commit(_ context.Context, req api.CommitRequest, on func(api.Event)) error {
	if err := a.undecided("commit"); err != nil {
		return err
	}
	return a.busy(a.engine.Commit(req, on))
}

// Rollback is an upgrade to a release that ran before.
func (a *agent) Rollback(_ context.Context, req api.RollbackRequest, on func(api.Event)) error {
	if err := a.undecided("begin the rollback"); err != nil {
		return err
	}
	return a.busy(a.engine.Rollback(a.upgrades, req, on))
}

func (a *agent) busy(err error) error {
	if !errors.Is(err, upgrade.ErrBusy) {
		return err
	}
	e := &api.Error{Code: api.CodeBusy, Message: "cannot begin: another upgrade is under way", Hint: "agent status shows it"}
	if u := a.engine.Current(); u != nil {
		e.State = u.String()
		switch {
		case u.Waits():
			e.Message = fmt.Sprintf("cannot begin: %s is on probation", u.To)
			e.Hint = fmt.Sprintf("agent commit makes %s permanent, agent rollback takes it back to %s; then another one can begin", u.To, u.From)
		case u.Revocable:
			e.Hint = fmt.Sprintf("agent status shows it; agent rollback takes %s back to %s", u.To, u.From)
		}
	}
	return e
}
