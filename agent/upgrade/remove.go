package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/agent/api"
	"theseus/rpc"
	"theseus/volume"
)

// Remove takes a release off the volume, and has a node that runs forget it. It is an attempt of its own: ErrBusy
// while another one is under way. Once begun it does not end with its caller. Refusals are *api.Error.
func (e *Engine) Remove(caller context.Context, version string) (api.Removed, error) {
	a, err := e.begin("removal", func(api.Event) {})
	if err != nil {
		return api.Removed{}, err
	}
	defer e.end(a)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), commitTimeout)
	defer cancel()
	removed, err := a.remove(ctx, version)
	if err != nil {
		a.littered = a.littered || !isRefusal(err)
		return removed, a.explain(err)
	}
	a.Record(api.Event{
		Time: time.Now(), Kind: "release.removed", Message: fmt.Sprintf("%s %s is removed, as was asked for", removed.Name, version),
		Attrs: map[string]any{"version": version, "bytes": removed.Bytes},
	})
	return removed, nil
}

func (a *attempt) remove(ctx context.Context, version string) (api.Removed, error) {
	if err := a.endLast(); err != nil {
		return api.Removed{}, fmt.Errorf("cannot remove %s: %w", version, err)
	}
	a.tidy()
	release, err := a.removable(version)
	if err != nil {
		return api.Removed{}, err
	}
	_ = a.meetNode()                 // where there is none, nobody has to forget the release
	before, _ := a.Volume.Occupied() // how much it was is no reason to keep it
	if err := a.forget(ctx, version); err != nil {
		return api.Removed{}, err
	}
	after, _ := a.Volume.Occupied()
	return api.Removed{Name: release.Name, Version: version, Bytes: max(0, before-after)}, a.derive()
}

// removable refuses what is needed, each with its own code.
func (a *attempt) removable(version string) (volume.Release, error) {
	s := a.Volume.State()
	r, known := s.Releases[version]
	var e *api.Error
	switch {
	case !known:
		e = refuse("no-such-release", "cannot remove %s: it is not on the volume", version)
	case version == a.Keeper.InUse():
		e = refuse(api.CodeReleaseCurrent, "cannot remove %s %s: it runs", r.Name, version)
	case version == s.Current:
		e = refuse(api.CodeReleasePermanent, "cannot remove %s %s: it is what boots", r.Name, version)
	case version == s.RollbackTarget():
		e = refuse(api.CodeRollbackTarget, "cannot remove %s %s: it is where a rollback leads", r.Name, version)
	case s.OnTheWayBack(version):
		e = refuse(api.CodeRollbackPath, "cannot remove %s %s: a rollback to %s leads over it", r.Name, version, s.Previous)
	default:
		return r, nil
	}
	e.State = "nothing was changed"
	return r, e
}

// forget has release_handler forget a release before its files are gone. It must never be the one that removes
// them (release_handler:remove_release/1): libraries that are links into the image would end there, and those of another
// release be lost. A node that cannot be asked knows the release until its next boot, which changes nothing.
func (a *attempt) forget(ctx context.Context, version string) error {
	if err := a.unlearn(ctx, version); err != nil {
		return err
	}
	return a.Volume.Remove(version)
}

func (a *attempt) unlearn(ctx context.Context, version string) error {
	if a.node == nil {
		return nil
	}
	h, err := a.node.Handler(ctx)
	if err != nil {
		return nil //nolint:nilerr // as where there is no node
	}
	var refused *rpc.ReleaseError
	err = h.SetRemoved(ctx, version)
	if errors.As(err, &refused) && refused.Code() != rpc.CodeNoSuchRelease {
		e := refuse("record-drift", "cannot remove %s: release_handler does not let it go: %v", version, refused)
		e.Hint, e.State = "a restart of the container corrects what release_handler believes", "nothing was changed"
		return e
	}
	return nil
}

// derive makes durable what release_handler wrote in place.
func (a *attempt) derive() error {
	if a.node == nil {
		return nil // it is derived anew before the next boot
	}
	return a.Volume.Derive(a.Keeper.InUse())
}

// retain removes the releases that need not stay, after a commit. What cannot be removed now is tried again after
// the next one.
func (a *attempt) retain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	surplus, err := a.Volume.Surplus(a.Keep, a.Keeper.InUse())
	for _, version := range surplus.Versions {
		if err == nil {
			err = a.forget(ctx, version)
		}
		if err == nil {
			a.emit("release.removed", fmt.Sprintf("%s is removed: it is older than what is kept", a.describeRelease(version)), map[string]any{"version": version})
		}
	}
	if len(surplus.Versions) > 0 && err == nil {
		err = a.derive()
	}
	if err != nil {
		a.littered = true
		a.warn("not every old release could be removed: %v", err)
	}
	if surplus.Over > 0 {
		a.warn("what must stay on the volume is %d bytes more than AGENT_KEEP_BYTES", surplus.Over)
	}
}
