package agent

import (
	"context"
	"fmt"
	"time"

	"theseus/agent/api"
)

// Remove takes a release off the volume. Before the boot is decided nobody knows which one is needed.
func (a *agent) Remove(ctx context.Context, version string) (api.Removed, error) {
	if err := a.undecided("remove " + version); err != nil {
		return api.Removed{}, err
	}
	removed, err := a.engine.Remove(ctx, version)
	return removed, a.busy(err)
}

// undecided refuses what would meet the start of the agent, which looks through the volume as if nobody else were at work there.
func (a *agent) undecided(what string) error {
	if a.boot.Load() != nil {
		return nil
	}
	return &api.Error{Code: api.CodeBusy, Message: fmt.Sprintf("cannot %s: what boots is not decided yet", what), Hint: "ask again in a moment"}
}

// retain removes the releases that need not stay, before the node is launched: the limits may be new, or a crash has
// come between a commit and what follows it. It is no reason not to boot.
func (a *agent) retain(boots string) {
	surplus, err := a.volume.Surplus(a.config.Keep, boots)
	name := a.volume.State().Releases[boots].Name
	for _, version := range surplus.Versions {
		if err == nil {
			err = a.volume.Remove(version)
		}
		if err == nil {
			a.journal.note("release.removed", fmt.Sprintf("%s %s is removed: it is older than what is kept", name, version), map[string]any{"version": version})
		}
	}
	if err != nil {
		a.log.Error("cannot remove every old release", "err", err)
	}
	if surplus.Over > 0 {
		a.journal.record(api.Event{
			Time: time.Now(), Kind: "volume.exceeded", Attrs: map[string]any{"bytes": surplus.Over},
			Message: fmt.Sprintf("what must stay on the volume is %d bytes more than AGENT_KEEP_BYTES", surplus.Over),
		})
	}
}
