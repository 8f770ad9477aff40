package upgrade

import (
	"maps"
	"slices"

	"theseus/rpc/term"
	"theseus/volume"
)

// hop is one relup on the way from one release to another.
type hop struct {
	from, to     string
	instructions []term.Term
	suspended    []string // modules whose processes are suspended while they change
	back         bool     // a relup leads back as well, in service
	restarts     bool     // the relup restarts the emulator on the way
	newERTS      bool     // before anything else, and the rest of it is for the new one
}

// relups are those of the releases that a way may lead over, by version.
type relups map[string]*volume.Relup

// relups reads them: the target's may be no part of the volume yet. Nothing leads over a release that was given up, and over one
// whose relup cannot be read.
func (a *attempt) relups(target *volume.Relup) (relups, error) {
	s := a.Volume.State()
	known := relups{}
	for version := range s.Releases {
		relup, err := a.Volume.Relup(version)
		switch {
		case version == a.from && err != nil:
			return nil, err
		case version == a.from, err == nil && !s.Quarantined(version):
			known[version] = relup
		}
	}
	known[a.to] = target
	return known, nil
}

// edge is found where release_handler looks (release_handler:get_rh_script/4): in the target's relup from what runs, then
// in the running release's relup down to the target.
func (r relups) edge(from, to string) *volume.RelupEdge { return findEdge(r[to], r[from], from, to) }

// route is the way over the fewest relups that will do, from one version to another: all versions on it. It is nil where there is
// none.
func (r relups) route(from, to string, will func(volume.RelupEdge) bool) []string {
	before := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		if next[0] == to {
			return trace(before, to)
		}
		for _, version := range slices.Sorted(maps.Keys(r)) {
			_, seen := before[version]
			if edge := r.edge(next[0], version); !seen && edge != nil && will(*edge) {
				before[version] = next[0]
				next = append(next, version)
			}
		}
	}
	return nil
}

// trace follows what came before what to the beginning.
func trace(before map[string]string, version string) (route []string) {
	for ; version != ""; version = before[version] {
		route = append(route, version)
	}
	slices.Reverse(route)
	return route
}

func (r relups) hops(route []string) (hops []hop) {
	for i, to := range route[1:] {
		hops = append(hops, r.hop(route[i], to))
	}
	return hops
}

func (r relups) hop(from, to string) hop {
	edge, back := r.edge(from, to), r.edge(to, from)
	return hop{
		from: from, to: to,
		instructions: edge.Instructions,
		suspended:    suspendedModules(edge.Instructions),
		back:         back != nil && inService(*back),
		restarts:     edge.NeedsEmulatorRestart(),
		newERTS:      len(edge.Instructions) > 0 && edge.Instructions[0] == term.Atom("restart_new_emulator"),
	}
}

// inService is what a way of more than one relup is made of: after a restart of the emulator there would be nothing left to go on with.
func inService(e volume.RelupEdge) bool { return !e.NeedsEmulatorRestart() }

func anyEdge(volume.RelupEdge) bool { return true }

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
