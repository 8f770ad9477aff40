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
	if err == nil {
		err = a.planRelups(way)
	}
	if err != nil && a.mayRestart {
		a.warn("%v", err)
	}
	return err
}

// mayLeadUp refuses to make a relup that leads back, or may do so: it would have to know how the older code takes a state of
// the newer one.
func (a *attempt) mayLeadUp() error {
	order, known := compareVersions(a.to, a.from)
	if known && order > 0 {
		return nil
	}
	why := fmt.Sprintf("it is older than %s, which runs, and no way back is derived", a.from)
	if !known || order == 0 {
		why = fmt.Sprintf("whether it is newer than %s, which runs, their versions do not tell, and no way back is derived", a.from)
	}
	e := refuse(api.CodeNeedsRestart, "cannot %s in service: the package has no relup from %s; %s", a.goal(a.to), a.from, why)
	e.Hint = "build the package with a relup, or allow a restart of the node: agent upgrade --restart"
	return e
}

func (a *attempt) deriveRelup(ctx context.Context) (*volume.Relup, error) {
	if err := a.mayLeadUp(); err != nil {
		return nil, err
	}
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
	a.made = &made
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
	if a.made == nil || a.way.cold {
		return nil
	}
	return a.Volume.PlaceRelup(a.made.Relup)
}
