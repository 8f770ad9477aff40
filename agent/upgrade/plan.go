package upgrade

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"theseus/agent/api"
	"theseus/rpc/term"
	"theseus/volume"
)

// plan is how the node gets from one release to the other.
type plan struct {
	instructions int
	suspended    []string // modules whose processes are suspended while they change
	back         bool     // a relup leads back as well
	restarts     bool     // the relup restarts the emulator on the way
	newERTS      bool     // before anything else, and the rest of it is for the new one
	cold         bool     // by a restart of the node, without a relup
}

// plan finds the way from what runs to what the package holds, before anything is published.
func (a *attempt) plan(ctx context.Context) error {
	if a.to == a.from {
		if err := a.staged.Conflict(); err != nil {
			return err
		}
		return refuse("already-installed", "cannot upgrade to %s: it is what runs", a.describeRelease(a.to))
	}
	if err := a.checkOrder(); err != nil {
		return err
	}
	relup, err := a.staged.Relup()
	if err != nil {
		return err
	}
	if relup == nil && a.node != nil && a.mayDerive {
		err := a.planDerived(ctx)
		if err != nil && a.mayRestart && ctx.Err() == nil {
			a.warn("%v", err)
			a.planCold()
			return nil
		}
		return err
	}
	return a.planWay(relup)
}

// planRollback finds the way to a release that is on the volume.
func (a *attempt) planRollback(_ context.Context, req api.RollbackRequest) error {
	s := a.Volume.State()
	version := cmp.Or(req.Version, s.Previous)
	target, known := s.Releases[version]
	a.label = a.describeRelease(version)
	switch {
	case version == "":
		return refuse("no-previous", "cannot roll back: this volume has had no release before %s", a.describeRelease(a.from))
	case !known:
		return refuse("no-such-release", "cannot roll back to %s: it is not on the volume", a.describeRelease(version))
	case version == a.from:
		return refuse("already-installed", "cannot roll back to %s: it is what runs", a.describeRelease(version))
	case req.Version == "" && target.Unpacked.After(s.Releases[a.from].Unpacked):
		// Asked for again, after an answer that did not arrive, it would lead back into what was left.
		e := refuse("already-rolled-back", "cannot roll back: %s was rolled back to from %s already", a.describeRelease(a.from), version)
		e.Hint = "agent rollback " + version + " goes there all the same, agent rollback VSN to any other that agent releases lists"
		return e
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
	return a.planWay(relup)
}

// planWay finds one in service, or by a relup that restarts the emulator, or by a restart without one; the last two
// only where a restart is allowed.
func (a *attempt) planWay(target *volume.Relup) error {
	if a.node == nil {
		a.planCold()
		return nil
	}
	err := a.planRelup(target)
	if err != nil && a.mayRestart {
		a.planCold()
		return nil
	}
	return err
}

func (a *attempt) planCold() {
	a.way = plan{cold: true}
	a.emit("upgrade.planned", fmt.Sprintf("to %s by a restart of the node: its state and connections end", a.describeRelease(a.to)),
		map[string]any{"verdict": a.way.verdict()})
}

// planRelup looks for the edge where release_handler does (release_handler:get_rh_script): in the target's
// relup from what runs, then in the running release's relup down to the target.
func (a *attempt) planRelup(target *volume.Relup) error {
	running, err := a.Volume.Relup(a.from)
	if err != nil {
		return err
	}
	edge := findEdge(target, running, a.from, a.to)
	if edge == nil {
		e := refuse("no-relup", "cannot %s from %s to %s in service: neither release has a relup between them", a.verb(), a.describeRelease(a.from), a.to)
		e.Hint = fmt.Sprintf("build the package with a relup from %s (%s), have one derived: agent upgrade --derived, or allow a restart of the node: agent upgrade --restart", a.from, knownEdges(target))
		if a.kind == "rollback" {
			e.Code, e.Hint = api.CodeNeedsRestart, "agent rollback --restart "+a.to+" restarts the node into it"
		}
		return e
	}
	if edge.NeedsEmulatorRestart() && !a.mayRestart {
		e := refuse(api.CodeNeedsRestart, "cannot %s from %s to %s in service: its relup restarts the emulator", a.verb(), a.describeRelease(a.from), a.to)
		e.Hint = "agent " + a.kind + " --restart allows it: the state and the connections of the node end"
		return e
	}
	a.way = plan{
		instructions: len(edge.Instructions),
		suspended:    suspendedModules(edge.Instructions),
		back:         findEdge(running, target, a.to, a.from) != nil,
		restarts:     edge.NeedsEmulatorRestart(),
		newERTS:      len(edge.Instructions) > 0 && edge.Instructions[0] == term.Atom("restart_new_emulator"),
	}
	a.emit("upgrade.planned", a.way.describe(a.describeRelease(a.from), a.to), map[string]any{
		"verdict": a.way.verdict(), "instructions": a.way.instructions, "suspended": a.way.suspended, "way_back": a.way.back,
	})
	return nil
}

func (p plan) verdict() string {
	if p.restarts || p.cold {
		return "restart"
	}
	return "hot"
}

func (p plan) describe(from, to string) string {
	text := fmt.Sprintf("%s to %s in service: %d instructions", from, to, p.instructions)
	if p.restarts {
		text = fmt.Sprintf("%s to %s by a relup that restarts the emulator, so that state and connections end: %d instructions", from, to, p.instructions)
	}
	if len(p.suspended) > 0 {
		text += ", processes of " + strings.Join(p.suspended, ", ") + " are suspended meanwhile"
	}
	if !p.back {
		text += "; the way back is a restart"
	}
	return text
}

// findEdge returns the instructions from one version to another: up in the target's relup, else down in the
// relup of the release that is left.
func findEdge(target, left *volume.Relup, from, to string) *volume.RelupEdge {
	if target != nil {
		if i := slices.IndexFunc(target.Up, func(e volume.RelupEdge) bool { return e.Version == from }); i >= 0 {
			return &target.Up[i]
		}
	}
	if left != nil {
		if i := slices.IndexFunc(left.Down, func(e volume.RelupEdge) bool { return e.Version == to }); i >= 0 {
			return &left.Down[i]
		}
	}
	return nil
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

// suspendedModules reads the low-level suspend instructions: {suspend,[Mod | {Mod,Timeout}]} (sasl: appup(4)
// translated by systools_rc).
func suspendedModules(instructions []term.Term) []string {
	var modules []string
	for _, instruction := range instructions {
		tuple, ok := instruction.(term.Tuple)
		if !ok || len(tuple) != 2 || tuple[0] != term.Atom("suspend") {
			continue
		}
		list, _ := tuple[1].(term.List)
		for _, m := range list {
			if withTimeout, ok := m.(term.Tuple); ok && len(withTimeout) > 0 {
				m = withTimeout[0]
			}
			if atom, ok := m.(term.Atom); ok {
				modules = append(modules, string(atom))
			}
		}
	}
	return modules
}
