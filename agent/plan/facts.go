package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"theseus/agent/api"
	"theseus/agent/relup"
	"theseus/agent/upgrade"
	"theseus/rpc/term"
	"theseus/volume"
)

// Facts are what a plan is made of.
type Facts struct {
	From, To  volume.Release
	Prospect  upgrade.Prospect
	MayDerive bool      // a relup that is made would be used
	Refusals  []Finding // of the package and its place
	// Before and After are the applications that differ, as their files are; nil where they could not be read.
	Before, After map[string]relup.App
	Files         map[string][]string // the modules of each library that a relup reads, as demo-1.1.0
	Live          *Live               // nil: no node was asked
	Config        []Setting
	Flags         []string // of vm.args that differ
	Env           bool     // env.sh differs
	Older         bool     // the version is older than what runs
	GivenUp       string   // why the release is in quarantine
	Disk          Disk
	Unknown       []string
}

// reasons are all that keeps the upgrade from going on in service.
func (f Facts) reasons() []Finding {
	reasons := slices.Clone(f.Refusals)
	for _, e := range f.Prospect.Refusals {
		reasons = append(reasons, finding(e))
	}
	if f.Prospect.Derived == nil || !f.MayDerive {
		for _, e := range f.Prospect.NoWay {
			reasons = append(reasons, finding(e))
		}
	}
	if f.Prospect.Restarts {
		reasons = append(reasons, Finding{
			Code: NeedsRestart, Text: "the relup restarts the emulator: the state and the connections of the node end",
			Hint: "agent upgrade --restart allows it",
		})
	}
	reasons = append(reasons, f.noInstructions()...)
	reasons = append(reasons, f.missingFiles()...)
	if f.Live != nil && len(f.Prospect.Hops) > 0 {
		reasons = append(reasons, f.liveReasons()...)
	}
	return reasons
}

func finding(err error) Finding {
	if e, is := errors.AsType[*api.Error](err); is {
		return Finding{Code: Code(e.Code), Text: e.Message, Hint: e.Hint}
	}
	if e, is := errors.AsType[*volume.PackageError](err); is {
		return Finding{Code: Code(e.Code), Text: e.Error()}
	}
	return Finding{Code: api.CodeInternal, Text: err.Error()}
}

// noInstructions are those that release_handler does not know (release_handler_1:syntax_check_script/1).
func (f Facts) noInstructions() (found []Finding) {
	for _, o := range f.script() {
		if o.verb == "" {
			found = append(found, Finding{Code: BadRelup, Text: "the relup has an instruction that is none: " + term.Format(o.raw)})
		}
	}
	return found
}

// missingFiles finds what release_handler would look for in vain before its point of no return.
func (f Facts) missingFiles() (found []Finding) {
	for _, o := range f.script() {
		if o.verb != "load_object_code" {
			continue
		}
		files, there := f.Files[o.lib+"-"+o.version]
		for _, m := range o.modules {
			if there && !slices.Contains(files, m) {
				found = append(found, Finding{Code: NoSuchFile, Subject: m, Text: fmt.Sprintf("the relup loads %s, which %s %s does not have", m, o.lib, o.version)})
			}
		}
		if !there {
			found = append(found, Finding{Code: NoSuchFile, Subject: o.lib, Text: fmt.Sprintf("the relup loads code of %s %s, which is part of no release on the way", o.lib, o.version)})
		}
	}
	return found
}

func (f Facts) applications() (list []Application) {
	before, after := versions(f.From), versions(f.To)
	for name, version := range after {
		switch was, there := before[name]; {
		case !there:
			list = append(list, Application{Name: name, Change: added, To: version})
		case was != version:
			list = append(list, Application{Name: name, Change: changed, From: was, To: version})
		}
	}
	for name, version := range before {
		if _, stays := after[name]; !stays {
			list = append(list, Application{Name: name, Change: removed, From: version})
		}
	}
	slices.SortFunc(list, func(a, b Application) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func versions(r volume.Release) map[string]string {
	list := map[string]string{}
	for _, lib := range r.Libs {
		list[lib.App] = lib.Version
	}
	return list
}

// difference is a module of which the two releases have different code. A module that another application has now is one that changed.
type difference struct {
	app      string
	was, now relup.Module
	change   string
}

func (d difference) name() string { return cmp.Or(d.now.Name, d.was.Name) }

func (f Facts) differences() (list []difference) {
	before, after := modulesOf(f.Before), modulesOf(f.After)
	for name, now := range after {
		switch was, there := before[name]; {
		case !there:
			list = append(list, difference{now.app, relup.Module{}, now.Module, added})
		case was.MD5 != now.MD5:
			list = append(list, difference{now.app, was.Module, now.Module, changed})
		}
	}
	for name, was := range before {
		if _, stays := after[name]; !stays {
			list = append(list, difference{was.app, was.Module, relup.Module{}, removed})
		}
	}
	slices.SortFunc(list, func(a, b difference) int { return cmp.Or(cmp.Compare(a.app, b.app), cmp.Compare(a.name(), b.name())) })
	return list
}

type owned struct {
	relup.Module
	app string
}

func modulesOf(apps map[string]relup.App) map[string]owned {
	all := map[string]owned{}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		for _, m := range apps[name].Modules {
			all[m.Name] = owned{m, name}
		}
	}
	return all
}

// silent are the changed supervisors that do not say what they start, since they wait for something.
func (f Facts) silent() (list []string) {
	for _, d := range f.differences() {
		if d.was.Children.Silent || d.now.Children.Silent {
			list = append(list, d.name())
		}
	}
	return list
}

func (f Facts) modules() (list []Module) {
	ops := f.script()
	for _, d := range f.differences() {
		m := Module{Application: d.app, Name: d.name(), Change: d.change, NIF: d.now.NIF || d.was.NIF, Kinds: some(d.now.Kinds), Means: []string{}}
		if d.change == removed {
			m.Kinds = some(d.was.Kinds)
		}
		for _, o := range ops {
			if slices.Contains(o.modules, m.Name) && o.verb != "load_object_code" && !slices.Contains(m.Means, o.verb) {
				m.Means = append(m.Means, o.verb)
			}
		}
		list = append(list, m)
	}
	return list
}

// affected are the processes that the script touches: it suspends, or ends and starts, those of a module.
func (f Facts) affected() (list []Affected) {
	for _, effect := range []struct{ verb, name string }{{"suspend", "suspended"}, {"stop", "restarted"}} {
		for _, m := range named(f.script(), effect.verb) {
			a := Affected{Module: m, Effect: effect.name, Count: -1, Names: []string{}}
			if f.Live != nil && f.Live.Trees.Answered() {
				procs := f.Live.Trees.Modules[m]
				a.Count, a.Names = procs.Count, some(procs.Names)
			}
			list = append(list, a)
		}
	}
	return list
}

func (f Facts) cold() (list []string) {
	for _, flag := range f.Flags {
		list = append(list, "vm.args: "+flag)
	}
	if f.Env {
		list = append(list, "env.sh")
	}
	return list
}
