package upgrade

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/rpc"
	"theseus/volume"
)

// toldDifferences is how many of them an event has.
const toldDifferences = 50

// compareTimeout is for a node that reads the code that changes from the volume, and for one that reads all of it.
const compareTimeout = time.Minute

// checkDrift makes sure that what runs is what the relup was made from, and notes in what else the node had drifted before the
// attempt: none of that is the attempt's fault. Where it cannot be known nothing is begun.
func (a *attempt) checkDrift(ctx context.Context) error {
	release := a.Volume.State().Releases[a.at()]
	found, err := a.compare(ctx, release, a.changed(release))
	if err != nil {
		return fmt.Errorf("cannot compare the node with %s: %w", a.describeRelease(release.Version), err)
	}
	if len(a.passed) == 0 {
		running, err := ask(ctx, a, func(h Handler) ([]rpc.App, error) { return h.Applications(ctx) })
		if err != nil {
			return err
		}
		found.Differences = append(found.Differences, drift.Applications(running, release)...)
		a.before = found.Differences
	}
	changing := a.changing()
	modified := filter(found.Differences, func(d api.Difference) bool { return d.Kind == drift.ModuleDiffers && changing[d.Application] })
	if len(modified) > 0 {
		e := refuse("code-drift", "cannot %s: the node runs other code than %s on the volume: %s", a.verb(), a.describeRelease(a.at()), some(subjects(modified)))
		e.Hint = "restart the node, or load what the release holds (code:load_file/1); agent verify --running shows all that differs"
		return e
	}
	a.tellDrift(release, found)
	return nil
}

// compare has the node compared with a release.
func (a *attempt) compare(ctx context.Context, release volume.Release, scope drift.Scope) (drift.Found, error) {
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	return ask(ctx, a, func(h Handler) (drift.Found, error) { return drift.Code(ctx, h, release, scope) })
}

// changed are the applications of a release that the attempt changes.
func (a *attempt) changed(release volume.Release) drift.Scope {
	changing := a.changing()
	scope := drift.Scope{Applications: []string{}}
	for _, lib := range release.Libs {
		if changing[lib.App] {
			scope.Applications = append(scope.Applications, lib.App)
		}
	}
	return scope
}

// observe looks at what runs after an installation. release_handler answers ok also where a process was
// skipped, a module was forgotten, or an application ends a moment later. What is not as the attempt should have made it is taken back,
// and all else is told. Of the code, what the attempt changes is looked at. A comparison that fails takes nothing back where the node answers.
func (a *attempt) observe(ctx context.Context, release volume.Release) error {
	found, failed := a.compare(ctx, release, a.changed(release))
	if failed != nil {
		err := a.observeAlive(ctx, release)
		if err == nil {
			a.warnOnce("cannot compare the node with %s: %v", a.describeRelease(release.Version), failed)
		}
		return err
	}
	if err := a.mistakes(release, found); err != nil && !a.TolerateDrift {
		return err
	}
	found.Differences = append(found.Differences, a.reset(release, found)...)
	a.tellDrift(release, found)
	return a.observeAlive(ctx, release)
}

// lookAround tells in what else the node is not its release, and of processes that were left in old code. Nothing depends on it but that the
// node lives through it.
func (a *attempt) lookAround(ctx context.Context, release volume.Release) error {
	found, err := a.compare(ctx, release, drift.Scope{Processes: true})
	if err != nil {
		a.warn("cannot compare all of the node with %s: %v", a.describeRelease(release.Version), err)
	}
	a.tellDrift(release, found)
	return a.observeAlive(ctx, release)
}

// mistakes is nil where all is as the attempt should have made it.
func (a *attempt) mistakes(release volume.Release, found drift.Found) error {
	changing := a.changing()
	mistakes := filter(found.Differences, func(d api.Difference) bool { return a.makes(d, changing) })
	if len(mistakes) == 0 {
		return nil
	}
	return refuse(api.CodeDrift, "the node is not what %s is: %s", a.describeRelease(release.Version), some(texts(mistakes)))
}

// makes says that it was for the attempt to make it otherwise: it is code of an application that it changes.
func (a *attempt) makes(d api.Difference, changing map[string]bool) bool {
	switch d.Kind {
	case drift.ModuleDiffers, drift.ModuleMissing, drift.PathDiffers:
		return (d.Application == drift.Consolidated || changing[d.Application]) && !a.wasSo(d)
	}
	return false
}

// wasSo says that the node has what it had before the attempt: a module that was not loaded may have native code that this machine has
// not, and a path may be that of the command line. Code that the release has anew was to be loaded all the same.
func (a *attempt) wasSo(d api.Difference) bool {
	return slices.ContainsFunc(a.before, func(b api.Difference) bool {
		return b.Kind == d.Kind && b.Subject == d.Subject && b.Got == d.Got && (b.Want == d.Want || d.Kind != drift.ModuleDiffers)
	})
}

// changing are the applications that the attempt changes.
func (a *attempt) changing() map[string]bool { return Changing(a.onTheWay()) }

// Changing are the applications that not all releases on a way have in one version: of their code a node must run what its release has.
func Changing(way []volume.Release) map[string]bool {
	apps := map[string]bool{}
	for _, r := range way {
		for _, lib := range r.Libs {
			differs := slices.ContainsFunc(way, func(other volume.Release) bool {
				its, _ := other.Lib(lib.App)
				return its.Version != lib.Version
			})
			if differs {
				apps[lib.App] = true
			}
		}
	}
	return apps
}

// onTheWay are the releases that the attempt leads over, the first and the last among them.
func (a *attempt) onTheWay() []volume.Release {
	s := a.Volume.State()
	releases := []volume.Release{s.Releases[a.from], a.release}
	for _, version := range a.way.over() {
		releases = append(releases, s.Releases[version])
	}
	return releases
}

// reset are the parameters that were set at run time and are as configured now: release_handler sets all of them
// (application_controller:do_change_apps), and a boot of the release would have them set again.
func (a *attempt) reset(release volume.Release, now drift.Found) (all []api.Difference) {
	if release.Version != a.to || a.restarted || len(now.Unknown) > 0 || now.More[drift.Environment]+now.More[drift.EnvironmentExtra] > 0 {
		return nil
	}
	for _, d := range a.before {
		if d.Kind != drift.Environment && d.Kind != drift.EnvironmentExtra || !has(release, d.Application) {
			continue
		}
		if !slices.ContainsFunc(now.Differences, func(n api.Difference) bool { return n.Subject == d.Subject }) {
			all = append(all, api.Difference{Kind: drift.EnvironmentReset, Application: d.Application, Subject: d.Subject, Got: "what is configured, and no more what was set at run time"})
		}
	}
	return all
}

func has(r volume.Release, app string) bool {
	_, there := r.Lib(app)
	return there
}

// tellDrift tells of each difference once, and of what could not be looked at. What a release sets at run time is its own business.
func (a *attempt) tellDrift(release volume.Release, found drift.Found) {
	for _, about := range found.Unknown {
		a.warnOnce("cannot compare all of the node with its release: %s could not be looked at", about)
	}
	fresh := filter(found.Differences, func(d api.Difference) bool { return !slices.Contains(a.told, d) })
	a.told = append(a.told, fresh...)
	a.tellOldCode(filter(fresh, func(d api.Difference) bool { return d.Kind == drift.OldCode }))
	fresh = spread(filter(fresh, drift.IsDrift))
	if len(fresh) == 0 {
		return
	}
	text := fmt.Sprintf("the node is not what %s is: %s", a.describeRelease(release.Version), some(texts(fresh)))
	a.warnings = append(a.warnings, text)
	a.emit("node.drifted", text, map[string]any{
		"version": release.Version, "differences": fresh[:min(len(fresh), toldDifferences)], "count": len(fresh) + found.Beyond(drift.IsDrift),
	})
}

// spread has one of each kind before the second of any, so that many of one hide no other.
func spread(differences []api.Difference) []api.Difference {
	rank, seen := map[api.Difference]int{}, map[string]int{}
	for _, d := range differences {
		rank[d] = seen[d.Kind]
		seen[d.Kind]++
	}
	slices.SortStableFunc(differences, func(a, b api.Difference) int { return cmp.Compare(rank[a], rank[b]) })
	return differences
}

// tellOldCode is no drift, and worth knowing: the next upgrade of that code may be refused for them.
func (a *attempt) tellOldCode(processes []api.Difference) {
	var who []string
	for _, d := range processes {
		who = append(who, d.Subject+": "+d.Got)
	}
	if len(who) > 0 {
		a.warn("processes go on in code that was replaced: %s", some(who))
	}
}

// observeAlive is the part of observe that can change by itself: that the node and its applications run.
func (a *attempt) observeAlive(ctx context.Context, release volume.Release) error {
	internal, err := a.initStatus(ctx)
	if err != nil {
		return err
	}
	if internal != "started" {
		return fmt.Errorf("the node is %s", internal)
	}
	running, err := ask(ctx, a, func(h Handler) ([]rpc.App, error) { return h.Applications(ctx) })
	if err != nil {
		return err
	}
	differences := drift.Applications(running, release)
	changing := a.changing()
	if err := drift.Mismatch(filter(differences, func(d api.Difference) bool { return !a.hadDrifted(d, changing) })); err != nil {
		return err
	}
	a.tellDrift(release, drift.Found{Differences: differences})
	return nil
}

// hadDrifted says that it was so before the attempt, which does nothing to that application.
func (a *attempt) hadDrifted(d api.Difference, changing map[string]bool) bool {
	return slices.Contains(a.before, d) && !changing[d.Application]
}

func filter(differences []api.Difference, want func(api.Difference) bool) (some []api.Difference) {
	for _, d := range differences {
		if want(d) {
			some = append(some, d)
		}
	}
	return some
}

func subjects(differences []api.Difference) (names []string) {
	for _, d := range differences {
		names = append(names, d.Subject)
	}
	return names
}

func texts(differences []api.Difference) (lines []string) {
	for _, d := range differences {
		lines = append(lines, d.String())
	}
	return lines
}
