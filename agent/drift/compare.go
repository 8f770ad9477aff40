package drift

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"theseus/agent/api"
)

// Difference is one thing that is not as it should be.
type Difference = api.Difference

// The kinds.
const (
	ModuleMissing      = "module-missing"
	ModuleExtra        = "module-extra"
	ModuleDiffers      = "module-differs"
	ModuleElsewhere    = "module-elsewhere" // it is no part of the release, and its file is somewhere else
	ApplicationMissing = "application-missing"
	ApplicationExtra   = "application-extra"
	ApplicationVersion = "application-version"
	ApplicationRunning = "application-running" // it is loaded, and runs where it should not, or does not
	Environment        = "environment-differs"
	EnvironmentExtra   = "environment-extra" // no configuration has it: it was set at run time
	EnvironmentReset   = "environment-reset" // it was set at run time, and an installation has set it to what is configured
	ChildMissing       = "child-missing"
	ChildExtra         = "child-extra"
	ChildDiffers       = "child-differs"
	NameMissing        = "name-missing"
	NameExtra          = "name-extra"
	NameDiffers        = "name-differs"
	TableMissing       = "table-missing"
	TableExtra         = "table-extra"
	TableDiffers       = "table-differs"
	PathDiffers        = "path-differs"
	ProcessesDiffer    = "processes-differ"
	OldCode            = "old-code"   // processes run code that was replaced
	Unanswered         = "unanswered" // nothing is known of the subject
)

// Compare tells in what a node is not like one that is as it should be, in the order of kinds and subjects. What is
// another in any two lives of a node is no difference: how many children a supervisor has that starts them for work that comes, what
// OTP starts on demand, and which modules were loaded where they are loaded when they are called first.
func Compare(want, got Snapshot) []Difference {
	all := slices.Concat(
		compareModules(want, got), compareApplications(want, got), compareChildren(want, got), compareNames(want, got),
		compareTables(want, got), comparePath(want, got), compareProcesses(want, got), unanswered(want, got),
	)
	slices.SortStableFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	return all
}

// kinds are those of something that may be missing, there without need, or another one.
type kinds struct{ missing, extra, differs string }

// compareMaps compares what has names. text says what one is; the empty text is nothing.
func compareMaps[T any](k kinds, want, got map[string]T, text func(T) string) (all []Difference) {
	for name, w := range want {
		g, there := got[name]
		switch {
		case !there && k.missing != "":
			all = append(all, Difference{Kind: k.missing, Subject: name, Want: text(w)})
		case there && text(w) != text(g):
			all = append(all, Difference{Kind: k.differs, Subject: name, Want: text(w), Got: text(g)})
		}
	}
	for name, g := range got {
		if _, there := want[name]; !there && k.extra != "" {
			all = append(all, Difference{Kind: k.extra, Subject: name, Got: text(g)})
		}
	}
	return all
}

func compareModules(want, got Snapshot) []Difference {
	k := kinds{differs: ModuleDiffers}
	if want.Embedded && got.Embedded {
		k = kinds{ModuleMissing, ModuleExtra, ModuleDiffers}
	}
	all := compareMaps(k, want.Modules, got.Modules, func(m Module) string { return m.MD5 })
	for i, d := range all { // code that is the same may be of another file: no relup loads what has not changed
		all[i].Want, all[i].Got = want.Modules[d.Subject].String(), got.Modules[d.Subject].String()
	}
	return all
}

func compareApplications(want, got Snapshot) []Difference {
	version := func(a Application) string { return a.Version }
	all := compareMaps(kinds{ApplicationMissing, ApplicationExtra, ApplicationVersion}, want.Applications, got.Applications, version)
	if !slices.Contains(slices.Concat(want.Silent, got.Silent), silentApplications) {
		all = append(all, compareMaps(kinds{differs: ApplicationRunning}, want.Applications, got.Applications, func(a Application) string {
			if a.Running {
				return "running"
			}
			return "not running"
		})...)
	}
	for name, w := range want.Applications {
		if g, there := got.Applications[name]; there {
			all = append(all, compareEnvironment(name, w, g)...)
		}
	}
	return all
}

func compareEnvironment(app string, want, got Application) []Difference {
	k := kinds{Environment, Environment, Environment}
	all := compareMaps(k, want.Environment, got.Environment, func(digest string) string { return "a value with digest " + digest })
	for i := range all {
		all[i].Application, all[i].Subject = app, app+":"+all[i].Subject
	}
	return slices.DeleteFunc(all, isOwnParameter)
}

func compareChildren(want, got Snapshot) []Difference {
	all := compareMaps(kinds{ChildMissing, ChildExtra, ChildDiffers}, want.Children, got.Children, Child.String)
	unknown := slices.Concat(want.Silent, got.Silent)
	return slices.DeleteFunc(all, func(d Difference) bool {
		return slices.ContainsFunc(unknown, func(path string) bool { return path == silentApplications || strings.HasPrefix(d.Subject, path+"/") })
	})
}

func (c Child) String() string {
	state := "running"
	if !c.Running {
		state = "not running"
	}
	return strings.Join(slices.DeleteFunc([]string{state, c.Restart, c.Type, c.Call, c.Start, c.Modules}, func(s string) bool { return s == "" }), " ")
}

func compareNames(want, got Snapshot) []Difference {
	if noProcesses(want, got) {
		return nil
	}
	return compareMaps(kinds{NameMissing, NameExtra, NameDiffers}, lastingNames(want.Names), lastingNames(got.Names), func(call string) string { return call })
}

// lastingNames leaves out the proxies that rpc makes for each group leader that it is told (kernel rpc:set_group_leader/1).
func lastingNames(names map[string]string) map[string]string {
	names = maps.Clone(names)
	maps.DeleteFunc(names, func(name, _ string) bool { return strings.HasPrefix(name, "rex_proxy_") })
	return names
}

// compareTables knows a named table by its name. Of others there may be any number, if the owner has one at all.
func compareTables(want, got Snapshot) []Difference {
	if noProcesses(want, got) {
		return nil
	}
	return compareMaps(kinds{TableMissing, TableExtra, TableDiffers}, tables(want), tables(got), func(t Table) string { return t.Type + " of " + t.Owner })
}

func tables(s Snapshot) map[string]Table {
	byName := map[string]Table{}
	for _, t := range s.Tables {
		name := t.Name
		if !t.Named {
			name += " of " + t.Owner
		}
		byName[name] = t
	}
	return byName
}

// comparePath leaves out directories of libraries whose application is not loaded: release_handler leaves those of an application
// that is gone from the release where they are (release_handler_1:get_new_libs/2).
func comparePath(want, got Snapshot) []Difference {
	all := compareMaps(kinds{PathDiffers, PathDiffers, PathDiffers}, clean(want.Path), clean(got.Path), func(bool) string { return "in the code path" })
	return slices.DeleteFunc(all, func(d Difference) bool {
		dir, ours := strings.CutPrefix(d.Subject, "$ROOT/lib/")
		app, _, _ := strings.Cut(dir, "-")
		_, loaded := got.Applications[app]
		return ours && d.Want == "" && !loaded
	})
}

// clean names each directory in one way: a boot of mix has $ROOT/lib/../releases in its path.
func clean(dirs []string) map[string]bool {
	all := map[string]bool{}
	for _, dir := range dirs {
		all[path.Clean(dir)] = true
	}
	return all
}

func set(names []string) map[string]bool {
	all := map[string]bool{}
	for _, name := range names {
		all[name] = true
	}
	return all
}

// compareProcesses leaves out those that are there for the moment: what a fun was spawned for, and the distribution's own.
func compareProcesses(want, got Snapshot) []Difference {
	if noProcesses(want, got) {
		return nil
	}
	k := kinds{ProcessesDiffer, ProcessesDiffer, ProcessesDiffer}
	return compareMaps(k, lastingProcesses(want.Processes), lastingProcesses(got.Processes), strconv.Itoa)
}

func lastingProcesses(processes map[string]int) map[string]int {
	processes = maps.Clone(processes)
	maps.DeleteFunc(processes, func(call string, _ int) bool {
		module, _, _ := strings.Cut(call, ":")
		return call == "erlang:apply/2" || slices.Contains(passing, module)
	})
	return processes
}

// passing are modules of OTP whose processes come and go with connections to other nodes, and with calls from there.
var passing = []string{"erpc", "rpc", "inet_tcp_dist", "inet6_tcp_dist", "inet_tls_dist", "net_kernel", "dist_util"}

// Whole parts of a snapshot that may be silent.
const (
	silentApplications = "applications"
	silentProcesses    = "processes"
)

func noProcesses(want, got Snapshot) bool {
	return slices.Contains(slices.Concat(want.Silent, got.Silent), silentProcesses)
}

func unanswered(want, got Snapshot) (all []Difference) {
	for who := range set(slices.Concat(want.Silent, got.Silent)) {
		all = append(all, Difference{Kind: Unanswered, Subject: who})
	}
	return all
}
