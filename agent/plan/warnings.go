package plan

import (
	"fmt"
	"slices"

	"theseus/agent/relup"
	"theseus/rpc/term"
	"theseus/volume"
)

// inService says that there is a way whose instructions must be right: after a restart everything is as in a fresh boot.
func (f Facts) inService() bool { return len(f.Prospect.Hops) > 0 && !f.Prospect.Restarts }

func warning(code Code, subject, format string, args ...any) Finding {
	return Finding{Code: code, Subject: subject, Text: fmt.Sprintf(format, args...)}
}

// forgotten are modules of which the node would go on with other code than the package has.
func forgotten(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	ops := f.script()
	for _, d := range f.differences() {
		if text := f.isForgotten(ops, d); text != "" {
			found = append(found, Finding{
				Code: ModuleForgotten, Subject: d.name(), Text: text,
				Hint: "the appup of " + d.app + " lacks it",
			})
		}
	}
	return found
}

func (f Facts) isForgotten(ops []op, d difference) string {
	final := last(ops, d.name())
	switch {
	case f.passesBy(ops, d.app):
		return "" // which is told of the application
	case d.change == changed && final == "" && f.isLoaded(d.name()):
		return d.name() + " has changed, and no instruction loads it: the node goes on with the older code"
	case d.change == added && final == "" && f.isEmbedded():
		return d.name() + " is new, and no instruction loads it: whoever calls it finds nothing"
	case d.change == removed && final != "remove" && f.isLoaded(d.name()):
		return d.name() + " is gone, and no instruction takes it away: its code stays in the node"
	}
	return ""
}

// takenAway are modules that the node would be without.
func takenAway(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	ops := f.script()
	for _, m := range keysOf(modulesOf(f.After)) {
		if last(ops, m) == "remove" {
			found = append(found, warning(ModuleRemoved, m, "the last instruction about %s takes its code away, though the package has it", m))
		}
	}
	return found
}

// isLoaded is true where nobody was asked.
func (f Facts) isLoaded(module string) bool {
	return f.Live == nil || slices.Contains(f.Live.Loaded, module)
}

// isEmbedded says that the node loads no module by itself when it is called (kernel: code).
func (f Facts) isEmbedded() bool { return f.Live == nil || f.Live.Mode != "interactive" }

// codeChanges finds states that are to be changed by what cannot, and what could and is not asked.
func codeChanges(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	ops, after := f.script(), modulesOf(f.After)
	changing := named(ops, "code_change")
	for _, name := range changing {
		m, known := after[name]
		if known && m.CodeChange == "none" && !m.IsSupervisor() && !m.IsSpecial() && f.mayRun(name) {
			found = append(found, Finding{
				Code: NoCodeChange, Subject: name, Text: fmt.Sprintf("the relup has the processes of %s change their state, and it exports no code_change: the installation would end in a restart", name),
				Hint: "export code_change from it, or have it loaded: {load_module, " + name + "}",
			})
		}
	}
	for _, d := range f.differences() {
		if d.change == changed && d.was.CodeChange != "real" && d.now.CodeChange == "real" && d.now.KeepsState() && !slices.Contains(changing, d.name()) {
			found = append(found, warning(CodeChangeUnused, d.name(), "%s has a code_change that it did not have, and no instruction has it called: its processes meet the new code with their old state", d.name()))
		}
	}
	return found
}

// mayRun says that processes of a module are there, as far as is known.
func (f Facts) mayRun(module string) bool {
	return f.Live == nil || !f.Live.Trees.Answered() || f.Live.Trees.Modules[module].Count > 0
}

// natives are modules with code that is not the emulator's: a library cannot be loaded beside its older self without its author's help.
func natives(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	for _, d := range f.differences() {
		if d.change != added && (d.was.NIF || d.now.NIF) {
			found = append(found, warning(NIFChanged, d.name(), "%s has native code and is %s: only its author knows whether both can be in one node", d.name(), d.change))
		}
	}
	return found
}

// supervisors compares what they start with what the relup has them do. What it calls of the release's own may do anything: then nothing is said.
func supervisors(f Facts) (found []Finding) {
	ops := f.script()
	if !f.inService() {
		return nil
	}
	for _, d := range f.differences() {
		was, now := d.was.Children, d.now.Children
		if d.change != changed || !d.now.IsSupervisor() || !was.Known || !now.Known || f.isStartedAnew(ops, d) {
			continue
		}
		found = append(found, children(ops, d)...)
		if !slices.Contains(named(ops, "code_change"), d.name()) && differ(was, now) {
			found = append(found, Finding{
				Code: SupervisorNotUpdated, Subject: d.name(), Text: fmt.Sprintf("what the supervisor %s starts, or how, has changed, and it is not told", d.name()),
				Hint: "{update, " + d.name() + ", supervisor}",
			})
		}
	}
	return found
}

func (f Facts) isStartedAnew(ops []op, d difference) bool {
	return slices.Contains(named(ops, "stop"), d.name()) || does(ops, d.app, "stop")
}

func differ(was, now relup.Children) bool {
	return was.Flags != now.Flags || !slices.EqualFunc(was.List, now.List, func(a, b relup.Child) bool {
		return term.Format(a.ID) == term.Format(b.ID) && a.Kind == b.Kind && a.Modules == b.Modules && a.Start == b.Start && a.Rest == b.Rest
	})
}

func children(ops []op, d difference) (found []Finding) {
	for _, c := range d.now.Children.List {
		id := term.Format(c.ID)
		was, stays := d.was.Children.Find(c.ID)
		switch {
		case !stays && !supervises(ops, c.ID, "restart_child", "start_child"):
			f := warning(ChildNotStarted, d.name(), "%s has the new child %s, and no instruction starts it", d.name(), id)
			f.Hint = fmt.Sprintf("{apply, {supervisor, restart_child, [%s, %s]}} behind the update of the supervisor", d.registered(), id)
			found = append(found, f)
		case stays && (was.Start != c.Start || was.Kind != c.Kind):
			found = append(found, warning(ChildChanged, d.name(), "the child %s of %s is started otherwise now: the one that runs stays as it was until it is restarted", id, d.name()))
		}
	}
	for _, c := range d.was.Children.List {
		id := term.Format(c.ID)
		if _, stays := d.now.Children.Find(c.ID); !stays && !supervises(ops, c.ID, "terminate_child") {
			f := warning(ChildNotEnded, d.name(), "the child %s of %s is gone, and no instruction ends it", id, d.name())
			f.Hint = fmt.Sprintf("{apply, {supervisor, terminate_child, [%[1]s, %[2]s]}} and {apply, {supervisor, delete_child, [%[1]s, %[2]s]}}", d.registered(), id)
			found = append(found, f)
		}
	}
	return found
}

func (d difference) registered() string {
	if d.was.Registered == "" || d.was.Registered == "undefined" {
		return d.name()
	}
	return d.was.Registered
}

// supervises says that one of the calls is made for a child, or that something is called of which nobody knows what it does.
func supervises(ops []op, id term.Term, functions ...string) bool {
	for _, o := range ops {
		if o.isForeign() {
			return true
		}
		for _, function := range functions {
			if args, is := o.calls("supervisor", function); is && len(args) == 2 && term.Format(childID(args[1])) == term.Format(id) {
				return true
			}
		}
	}
	return false
}

// isForeign tells a call of the release's own code.
func (o op) isForeign() bool {
	return len(o.call) == 3 && !slices.Contains([]string{"application", "supervisor", "code"}, atom(o.call[0]))
}

// childID is the id in a specification, or the id itself.
func childID(t term.Term) term.Term {
	switch t := t.(type) {
	case term.Map:
		for _, pair := range t {
			if pair.Key == term.Term(term.Atom("id")) {
				return pair.Value
			}
		}
	case term.Tuple:
		if len(t) == 6 {
			return t[0]
		}
	}
	return t
}

// startsAndStops are applications that come or go without being started or ended.
func startsAndStops(f Facts) (found []Finding) {
	if !f.inService() {
		return nil
	}
	ops := f.script()
	for _, app := range f.applications() {
		switch {
		case !f.passesBy(ops, app.Name):
		case app.Change == added:
			found = append(found, warning(ApplicationNotStarted, app.Name, "the application %s is new in the release, and no instruction starts it: the upgrade would be taken back", app.Name))
		case app.Change == removed:
			found = append(found, warning(ApplicationNotEnded, app.Name, "the application %s is gone from the release, and no instruction stops it", app.Name))
		}
	}
	return found
}

// passesBy says that an application comes or goes, and the relup does nothing about it.
func (f Facts) passesBy(ops []op, app string) bool {
	runs := func(r volume.Release) bool {
		lib, there := r.Lib(app)
		return there && lib.Stays()
	}
	if slices.ContainsFunc(ops, op.isForeign) {
		return false
	}
	switch {
	case runs(f.To) && !has(f.From, app):
		return !does(ops, app, "start", "ensure_all_started")
	case runs(f.From) && !has(f.To, app):
		return !does(ops, app, "stop")
	}
	return false
}

func has(r volume.Release, app string) bool {
	_, there := r.Lib(app)
	return there
}

// does says that one of these calls is made for an application.
func does(ops []op, app string, functions ...string) bool {
	return slices.ContainsFunc(ops, func(o op) bool {
		return slices.ContainsFunc(functions, func(function string) bool {
			args, is := o.calls("application", function)
			return is && len(args) > 0 && atom(args[0]) == app
		})
	})
}

// waysBack tells where a rollback would cost a restart, where the way is one back itself, and where it has failed before.
func waysBack(f Facts) (found []Finding) {
	if f.Older {
		found = append(found, warning(Downgrade, "", "%s is older than %s, which runs", f.To.Version, f.From.Version))
	}
	if f.GivenUp != "" {
		found = append(found, warning(GivenUp, "", "%s is in quarantine: %s", f.To.Version, f.GivenUp))
	}
	if f.inService() && !f.Prospect.Back {
		found = append(found, warning(WayBackRestart, "", "no relup leads back from %s to %s in service: a rollback restarts the node", f.To.Version, f.From.Version))
	}
	return found
}

// derivation names the applications whose instructions nobody has written.
func derivation(f Facts) (found []Finding) {
	made := f.Prospect.Derived
	if made == nil {
		return nil
	}
	for _, app := range f.way().Derived {
		found = append(found, warning(Derived, app, "%s has no appup from %s: what it must do was derived from its modules", app, versions(f.From)[app]))
	}
	for _, text := range made.Warnings {
		found = append(found, warning(Systools, "", "systools: %s", text))
	}
	return found
}
