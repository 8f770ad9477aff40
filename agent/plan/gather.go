package plan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/agent/relup"
	"theseus/agent/upgrade"
	"theseus/signals"
	"theseus/volume"
)

// Request is what is to be planned, and where it can be found out.
type Request struct {
	Package, Digest string     // a file, and its sha256
	Refusal         *api.Error // the package is not to be opened
	Version         string     // or a release on the volume
	Volume          string     // release root
	Image           volume.Image
	Limits          volume.Limits
	Client          *api.Client // of the agent that owns the volume; nil: nobody is asked
	Init            *signals.Init
	RefuseDowngrade bool
	MayDerive       bool // a relup that the package lacks
}

// readTimeout is for all reading of modules, by emulators that may hang in what a release has them do.
const readTimeout = 2 * time.Minute

// gatherer is one request on its way.
type gatherer struct {
	Request
	volume   *volume.Volume
	examined *volume.Examined // nil: the release is on the volume
	scratch  string
	old, new relup.Release
	facts    Facts
}

// Of plans a request. An error says that there is nothing to be told, and not that the upgrade would be refused.
func Of(ctx context.Context, r Request) (made Plan, err error) {
	g := &gatherer{Request: r}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.gather(ctx); err != nil {
		return Plan{}, err
	}
	return Make(g.facts), nil
}

func (g *gatherer) gather(ctx context.Context) error {
	var err error
	if g.volume, err = volume.Look(g.Volume); err != nil {
		return err
	}
	if err := g.findOld(ctx); err != nil {
		return err
	}
	if known, err := g.findNew(ctx); !known || err != nil {
		return err
	}
	if g.scratch, err = os.MkdirTemp("", "agent-plan-"); err != nil {
		return fmt.Errorf("cannot make room for an emulator: %w", err)
	}
	reading, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := g.foresee(reading); err != nil {
		return err
	}
	g.compareConfig()
	g.compareStarts()
	g.compareModules(reading)
	if err := g.listFiles(); err != nil {
		return err
	}
	return g.askNode(ctx)
}

func (g *gatherer) close() error {
	var errs []error
	if g.scratch != "" {
		errs = append(errs, os.RemoveAll(g.scratch))
	}
	if g.examined != nil {
		errs = append(errs, g.examined.Close())
	}
	return errors.Join(errs...)
}

func (g *gatherer) unknown(format string, args ...any) {
	g.facts.Unknown = append(g.facts.Unknown, fmt.Sprintf(format, args...))
}

// findOld finds what runs, or, where nobody is asked, what boots.
func (g *gatherer) findOld(ctx context.Context) error {
	state := g.volume.State()
	version := state.Current
	if g.Client != nil {
		status, err := g.Client.Status(ctx)
		if err != nil {
			return err
		}
		version = status.Release.Version
		g.useStatus(status)
	} else {
		g.unknown("what only a node knows, since none was asked: its processes, the code that it runs, its settings")
	}
	from, known := state.Releases[version]
	if !known {
		return fmt.Errorf("cannot plan: the volume %s has no release to upgrade from", g.volume.Root())
	}
	g.facts.From, g.old = from, relup.On(g.volume, from)
	return nil
}

func (g *gatherer) useStatus(status api.Status) {
	if u := status.Upgrade; u != nil {
		g.facts.Refusals = append(g.facts.Refusals, Finding{Code: UnderWay, Text: "another upgrade is under way: " + u.String()})
	}
	if status.Node.State != api.NodeRunning {
		g.unknown("what only a node knows: it is %s", status.Node.State)
		g.facts.Refusals = append(g.facts.Refusals, Finding{Code: api.CodeNodeDown, Text: "the node is " + status.Node.State, Hint: "agent upgrade --restart does not need it"})
		g.Client = nil
	}
}

// findNew finds the release that is to run. One of which not even that is known is refused.
func (g *gatherer) findNew(ctx context.Context) (known bool, err error) {
	if g.Version != "" {
		g.facts.To, known = g.volume.State().Releases[g.Version]
		if !known {
			return false, &api.Error{Code: api.CodeNoSuchRelease, Message: fmt.Sprintf("cannot plan an upgrade to %s: it is not on the volume", g.Version)}
		}
		g.new = relup.On(g.volume, g.facts.To)
		return true, nil
	}
	g.facts.To.Name = g.facts.From.Name
	if g.Refusal != nil {
		g.facts.Refusals = append(g.facts.Refusals, finding(g.Refusal))
		return false, nil //nolint:nilerr // it is the answer
	}
	place := volume.Place{Volume: g.Volume, Image: g.Image, Limits: g.Limits}
	g.examined, err = volume.Examine(ctx, g.Package, g.Digest, place)
	if refusal, is := errors.AsType[*volume.PackageError](err); is {
		g.facts.Refusals = append(g.facts.Refusals, finding(refusal))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, misfit := range g.examined.Misfits {
		g.facts.Refusals = append(g.facts.Refusals, finding(misfit))
	}
	g.facts.To, g.new = g.examined.Release, relup.Staged(g.examined.Staged, g.Image)
	return true, g.measure()
}

// measure finds out what the package needs, as an upgrade does.
func (g *gatherer) measure() (err error) {
	g.facts.Disk.Needed = g.examined.Needed
	g.facts.Disk.Free, err = g.volume.Free()
	return err
}

// foresee has the engine plan.
func (g *gatherer) foresee(ctx context.Context) (err error) {
	engine := &upgrade.Engine{Volume: g.volume, Image: g.Image, RefuseDowngrade: g.RefuseDowngrade}
	if g.examined != nil && len(g.examined.Misfits) == 0 { // else some of it cannot be read
		engine.Derive = g.derive
	}
	question := upgrade.Question{From: g.facts.From.Version, To: g.facts.To}
	if g.examined != nil {
		question.Staged = g.examined.Staged
	}
	g.facts.MayDerive = g.MayDerive
	g.facts.Prospect, err = engine.Foresee(ctx, question)
	g.facts.Older = upgrade.IsOlder(g.facts.To.Version, g.facts.From.Version)
	why, _ := g.volume.State().GivenUp(g.facts.To.Package)
	g.facts.GivenUp = why.Reason
	return err
}

// derive makes the relup that the package lacks. Where that fails for want of time or room, a restart is the only way that is known.
func (g *gatherer) derive(ctx context.Context, from volume.Release, to *volume.Staged) (relup.Made, error) {
	dir := filepath.Join(g.scratch, "derive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return relup.Made{}, fmt.Errorf("cannot make room for an emulator: %w", err)
	}
	made, err := relup.Derive(ctx, g.volume, g.Image, g.Init, dir, from, to)
	if _, told := errors.AsType[*relup.UnderivableError](err); err == nil || told || errors.Is(err, context.Canceled) {
		return made, err
	}
	g.unknown("which relup can be derived: %v", err)
	return relup.Made{}, &relup.UnderivableError{Reasons: []string{"the attempt to make one failed: " + err.Error()}}
}

// compareModules reads the modules of what differs, each with the code of its own release. A plan without them is better than none.
func (g *gatherer) compareModules(ctx context.Context) {
	if g.facts.From.ERTS != g.facts.To.ERTS || g.examined != nil && len(g.examined.Misfits) > 0 {
		g.unknown("which modules change: the release does not fit to the OTP and the volume that there are")
		return
	}
	var settled []string
	for _, s := range g.facts.Config {
		settled = append(settled, s.Application)
	}
	dir := filepath.Join(g.scratch, "compare")
	err := os.Mkdir(dir, 0o700)
	var vm relup.VM
	if err == nil {
		vm, err = relup.VMOf(g.volume, g.Image, g.facts.From, g.Init, dir)
	}
	if err == nil {
		g.facts.Before, g.facts.After, err = relup.Compare(ctx, vm, g.old, g.new, settled...)
	}
	if err != nil {
		g.facts.Before, g.facts.After = nil, nil
		g.unknown("which modules change: %v", err)
	}
	for _, supervisor := range g.facts.silent() {
		g.unknown("what the supervisor %s starts: its init/1 does not come to an end where its release does not run", supervisor)
	}
}

// listFiles has the modules of each library that the relups read.
func (g *gatherer) listFiles() error {
	g.facts.Files = map[string][]string{}
	for _, o := range g.facts.script() {
		if o.verb != "load_object_code" {
			continue
		}
		ebin := g.ebin(o.lib, o.version)
		entries, err := os.ReadDir(ebin)
		if errors.Is(err, os.ErrNotExist) || ebin == "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read %s %s: %w", o.lib, o.version, err)
		}
		list := []string{}
		for _, e := range entries {
			if module, is := strings.CutSuffix(e.Name(), ".beam"); is {
				list = append(list, module)
			}
		}
		g.facts.Files[o.lib+"-"+o.version] = list
	}
	return nil
}

// ebin is where release_handler finds a library, on the way or at its end.
func (g *gatherer) ebin(lib, version string) string {
	if g.new.Versions[lib] == version {
		return g.new.Ebins[lib]
	}
	for _, hop := range g.facts.Prospect.Hops {
		its, there := g.volume.State().Releases[hop.To].Lib(lib)
		if there && its.Version == version {
			return g.volume.Path("lib", lib+"-"+version, "ebin")
		}
	}
	return ""
}

// askNode asks what only the node knows. Whatever it does not answer is unknown, and no reason to tell nothing.
func (g *gatherer) askNode(ctx context.Context) error {
	if g.Client == nil {
		return ctx.Err()
	}
	ops := g.facts.script()
	q := question{
		sought: named(ops, "suspend", "stop"), suspended: named(ops, "suspend"), touched: named(ops, "load", "remove", "purge"),
	}
	for _, app := range g.facts.Before {
		for _, m := range app.Modules {
			q.modules = append(q.modules, m.Name)
		}
	}
	live, err := ask(ctx, g.Client, q)
	if err != nil && ctx.Err() == nil {
		g.unknown("what only the node knows: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	g.facts.Live, g.facts.Unknown = live, append(g.facts.Unknown, live.Unknown...)
	return g.compareNode(ctx)
}

// compareNode finds in what the node is not its release, as an upgrade does, as far as that matters to a plan.
func (g *gatherer) compareNode(ctx context.Context) error {
	changing := upgrade.Changing(g.onTheWay())
	found, err := drift.Code(ctx, asked{g.Client}, g.facts.From, drift.Scope{Applications: some(keysOf(changing))})
	if err != nil {
		g.unknown("which code and which settings were changed in the running node: %v", err)
		return ctx.Err()
	}
	for _, about := range found.Unknown {
		g.unknown("%s, as the running node has it", about)
	}
	g.facts.Live.Drift = slices.DeleteFunc(found.Differences, func(d drift.Difference) bool {
		switch d.Kind {
		case drift.ModuleDiffers:
			return !changing[d.Application]
		case drift.Environment, drift.EnvironmentExtra:
			return !has(g.facts.To, d.Application) || slices.Contains(selfSet, d.Application)
		}
		return true
	})
	return nil
}

// onTheWay are the releases that the upgrade would lead over, the first and the last among them.
func (g *gatherer) onTheWay() []volume.Release {
	releases := []volume.Release{g.facts.From, g.facts.To}
	for _, hop := range g.facts.Prospect.Hops {
		if hop.To != g.facts.To.Version {
			releases = append(releases, g.volume.State().Releases[hop.To])
		}
	}
	return releases
}

// selfSet are applications that change their environment themselves.
var selfSet = []string{"kernel", "stdlib", "sasl", "elixir", "logger"}

// keysOf are the names of a map in order.
func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
