package upgrade

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"theseus/agent/api"
	"theseus/volume"
)

// plan is how the node gets from one release to the other: by one relup, by several in service, or cold.
type plan struct {
	hops []hop
	cold bool // by a restart of the node, without a relup
}

// plan finds the way from what runs to what the package holds, before anything is published.
func (a *attempt) plan(ctx context.Context) error {
	if a.to == a.from {
		return a.isInstalled()
	}
	if err := a.checkOrder(); err != nil {
		return err
	}
	relup, err := a.staged.Relup()
	if err != nil {
		return err
	}
	return a.planWay(ctx, relup)
}

// isInstalled refuses what runs, and a package that takes its version for something else.
func (a *attempt) isInstalled() error {
	if a.staged != nil {
		if err := a.staged.Conflict(); err != nil {
			return err
		}
	}
	return refuse("already-installed", "cannot %s: it is what runs", a.goal(a.from))
}

// planRollback finds out where a rollback leads, and the way there.
func (a *attempt) planRollback(ctx context.Context, req api.RollbackRequest) error {
	s := a.Volume.State()
	switch {
	case req.Version == "" && s.Previous == "":
		return refuse("no-previous", "cannot roll back: this volume has had no release before %s", a.describeRelease(a.from))
	case req.Version == "" && s.RollbackTarget() == "":
		// Asked for again, after an answer that did not arrive, it would lead back into what was left.
		e := refuse("already-rolled-back", "cannot roll back: %s was rolled back to from %s already", a.describeRelease(a.from), s.Previous)
		e.Hint = "agent rollback " + s.Previous + " goes there all the same, agent rollback VSN to any other that agent releases lists"
		return e
	}
	return a.planThere(ctx, cmp.Or(req.Version, s.Previous))
}

// planThere finds the way to a release that is on the volume.
func (a *attempt) planThere(ctx context.Context, version string) error {
	a.label = a.describeRelease(version)
	target, known := a.Volume.State().Releases[version]
	switch {
	case !known:
		return refuse("no-such-release", "cannot %s: it is not on the volume", a.goal(version))
	case version == a.from:
		return a.isInstalled()
	}
	a.target(target)
	relup, err := a.Volume.Relup(version)
	switch {
	case err != nil && a.mayRestart: // a restart needs none, and one that is damaged is restored before it
		a.planCold()
		return nil
	case err != nil:
		return err
	}
	return a.planWay(ctx, relup)
}

// planWay finds one in service, or by a relup that restarts the emulator, or by a relup that is made where the package has
// none, or by a restart without one; all but the first only where that is allowed.
func (a *attempt) planWay(ctx context.Context, target *volume.Relup) error {
	if a.node == nil {
		a.planCold()
		return nil
	}
	err := a.planRelups(target)
	if err != nil && target == nil && a.mayDerive {
		err = a.planDerived(ctx)
	}
	if err != nil && a.mayRestart && ctx.Err() == nil {
		a.planCold()
		return nil
	}
	return err
}

func (a *attempt) planCold() {
	a.choose(plan{cold: true})
	a.emit("upgrade.planned", fmt.Sprintf("to %s by a restart of the node: its state and connections end", a.describeRelease(a.to)),
		map[string]any{"verdict": a.way.verdict()})
}

// planRelups looks for a way in service first, over as few releases as there must be. A relup that restarts the emulator is
// taken only where it is all of the way.
func (a *attempt) planRelups(target *volume.Relup) error {
	known, err := a.relups(target)
	if err != nil {
		return err
	}
	route := known.route(a.from, a.to, inService)
	if route == nil {
		if edge := known.edge(a.from, a.to); edge == nil || !a.mayRestart {
			return a.noWay(known, target)
		}
		route = []string{a.from, a.to}
	}
	a.choose(plan{hops: known.hops(route)})
	a.emit("upgrade.planned", a.way.describe(a.name), map[string]any{
		"verdict": a.way.verdict(), "instructions": a.way.instructions(), "suspended": a.way.suspended(), "way_back": a.way.back(), "path": route,
	})
	return nil
}

// noWay says why there is none in service.
func (a *attempt) noWay(known relups, target *volume.Relup) error {
	cannot := fmt.Sprintf("cannot %s in service: ", a.goal(a.to))
	restarts := known.route(a.from, a.to, anyEdge)
	e := refuse(api.CodeNeedsRestart, "%sno relup leads there from %s, nor do those of the releases on the volume", cannot, a.from)
	switch {
	case len(restarts) == 2:
		e.Message = cannot + "its relup from " + a.from + " restarts the emulator"
	case restarts != nil:
		e.Message = fmt.Sprintf("%sof the relups from %s one restarts the emulator, and is no part of a longer way", cannot, strings.Join(restarts, " to "))
	case a.kind == "upgrade":
		e.Code = api.CodeNoRelup
		e.Hint = fmt.Sprintf("build the package with a relup from %s (%s), %sunpack a release between the two (agent unpack), or allow a restart of the node: agent upgrade --restart", a.from, knownEdges(target), a.offer(target))
		return e
	}
	e.Hint = "agent " + a.kind + " --restart allows it: the state and the connections of the node end"
	if a.kind != "upgrade" {
		e.Hint = fmt.Sprintf("agent %s --restart %s restarts the node into it: its state and connections end", a.kind, a.to)
	}
	return e
}

// offer is what can be had for the asking: a relup that is made, where there is none and one may be.
func (a *attempt) offer(target *volume.Relup) string {
	if target != nil || a.mayLeadUp() != nil {
		return ""
	}
	return "have one derived (agent upgrade --derived), "
}

// choose has describe tell of the way, too.
func (a *attempt) choose(way plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.way = way
}

// over are the releases between the two.
func (p plan) over() (versions []string) {
	for _, h := range p.hops[min(1, len(p.hops)):] {
		versions = append(versions, h.from)
	}
	return versions
}

// restarts says that the relup does: it is the only one then.
func (p plan) restarts() bool { return len(p.hops) == 1 && p.hops[0].restarts }

func (p plan) newERTS() bool { return p.restarts() && p.hops[0].newERTS }

// back says that relups lead back all of the way, in service.
func (p plan) back() bool {
	return !slices.ContainsFunc(p.hops, func(h hop) bool { return !h.back })
}

func (p plan) instructions() (sum int) {
	for _, h := range p.hops {
		sum += len(h.instructions)
	}
	return sum
}

func (p plan) suspended() (modules []string) {
	for _, h := range p.hops {
		for _, m := range h.suspended {
			if !slices.Contains(modules, m) {
				modules = append(modules, m)
			}
		}
	}
	return modules
}

func (p plan) verdict() string {
	if p.restarts() || p.cold {
		return "restart"
	}
	return "hot"
}

func (p plan) describe(name string) string {
	way := name + " " + p.hops[0].from
	for _, h := range p.hops {
		way += " to " + h.to
	}
	text := fmt.Sprintf("%s in service: %d instructions", way, p.instructions())
	if p.restarts() {
		text = fmt.Sprintf("%s by a relup that restarts the emulator, so that state and connections end: %d instructions", way, p.instructions())
	}
	if suspended := p.suspended(); len(suspended) > 0 {
		text += ", processes of " + strings.Join(suspended, ", ") + " are suspended meanwhile"
	}
	if !p.back() {
		text += "; the way back is a restart"
	}
	return text
}

func knownEdges(r *volume.Relup) string {
	if r == nil || len(r.Up) == 0 {
		return "it has none"
	}
	var from []string
	for _, e := range r.Up {
		from = append(from, e.Version)
	}
	return "it has them from " + strings.Join(from, ", ")
}
