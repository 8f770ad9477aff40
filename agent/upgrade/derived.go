package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"theseus/agent/api"
	"theseus/agent/relup"
	"theseus/volume"
)

// planDerived has the relup made that the package lacks, from the appups of the applications and from what their modules
// tell, and plans with that.
func (a *attempt) planDerived(ctx context.Context) error {
	way, err := a.deriveRelup(ctx)
	if err != nil && a.mayRestart && ctx.Err() == nil {
		a.warn("%v", err)
		a.planCold()
		return nil
	}
	if err != nil {
		return err
	}
	return a.planWay(way)
}

func (a *attempt) deriveRelup(ctx context.Context) (*volume.Relup, error) {
	made, err := a.Derive(ctx, a.Volume.State().Releases[a.from], a.staged)
	if none := (*relup.UnderivableError)(nil); errors.As(err, &none) {
		e := refuse(api.CodeNeedsRestart, "cannot %s from %s to %s in service: the package has no relup, and %v", a.verb(), a.describeRelease(a.from), a.to, none)
		e.Hint = "write an appup for it, or allow a restart of the node: agent upgrade --restart"
		return nil, e
	}
	if err != nil {
		return nil, fmt.Errorf("cannot derive a relup from %s to %s: %w", a.from, a.to, err)
	}
	way, err := volume.ParseRelup(made.Relup)
	if err != nil {
		return nil, fmt.Errorf("cannot read the relup that was derived: %w", err)
	}
	a.derived = made.Relup
	apps := slices.Sorted(maps.Keys(made.Derived))
	text := "from the appups of its applications"
	if len(apps) > 0 {
		text = "what " + strings.Join(apps, ", ") + " must do was derived from the modules"
	}
	a.emit("relup.derived", fmt.Sprintf("%s has no relup from %s, so one was made: %s", a.describeRelease(a.to), a.from, text),
		map[string]any{"applications": apps, "appups": made.Derived})
	for _, warning := range made.Warnings {
		a.warn("systools: %s", warning)
	}
	return way, nil
}

// placeDerived puts that relup to where release_handler looks for it.
func (a *attempt) placeDerived() error {
	if a.derived == nil {
		return nil
	}
	return a.Volume.PlaceRelup(a.to, a.derived)
}
