package relup

import (
	"fmt"
	"slices"

	"theseus/rpc/term"
)

// derive finds the instructions that bring an application without an appup from one version to the other (sasl: appup(4)):
//
//	module added, deleted           {load_module, M} first, {remove, M} last
//	module changed, supervisor      {update, M, static, default, {advanced, []}}, which {update, M, supervisor} is for systools; what it starts in addition is started, what it no longer does, ended
//	module changed, has a state     {update, M, {advanced, []}} where its code_change may make another one of it
//	module changed, any other       {load_module, M}: nobody is suspended for it
//	only compiled anew              {load_module, M}, whatever it is: it does what it did
//
// All with soft_purge, and written so that systools adds no other one (systools_rc:expand_script/1), as it does to add_module, delete_module and {update, M, supervisor}: a process that
// still runs the code before the last one is refused, and never killed. A module comes after those changed ones that it calls. The reason says why nothing can be derived; then the way is a restart.
func derive(old, new App) (instructions []term.Term, reason string) {
	d := derivation{old: old, new: new}
	for _, m := range new.Modules {
		was, there := old.Module(m.Name)
		switch {
		case !there:
			d.first = append(d.first, call("load_module", term.Atom(m.Name), soft, soft, term.List{}))
		case was.MD5 != m.MD5:
			d.change(was, m)
		}
	}
	for _, m := range old.Modules {
		if _, stays := new.Module(m.Name); !stays {
			d.remove(m)
		}
	}
	if d.reason != "" {
		return nil, fmt.Sprintf("%s: %s", new.Name, d.reason)
	}
	return slices.Concat(d.first, d.changes, d.children, d.last), ""
}

const soft = term.Atom("soft_purge")

var advanced = term.Tuple{term.Atom("advanced"), term.List{}}

type derivation struct {
	old, new                       App
	first, changes, children, last []term.Term
	reason                         string
}

func (d *derivation) refuse(format string, args ...any) {
	if d.reason == "" {
		d.reason = fmt.Sprintf(format, args...)
	}
}

func (d *derivation) change(was, m Module) {
	switch {
	case m.NIF || was.NIF:
		d.refuse("%s has native code, which cannot be loaded beside its older self", m.Name)
	case m.IsSupervisor() != was.IsSupervisor() || m.KeepsState() != was.KeepsState():
		d.refuse("%s has become another kind of process", m.Name)
	case m.Source != "" && m.Source == was.Source:
		d.load(m)
	case m.Name == d.new.Callback && (m.Start == "" || m.Start != was.Start):
		d.refuse("%s, which starts it, has changed: what it starts now nobody can see", m.Name)
	case m.IsSupervisor():
		d.changeSupervisor(was, m)
	case m.KeepsState() && (m.CodeChange == "real" || was.CodeChange == "real"):
		d.changes = append(d.changes, call("update", term.Atom(m.Name), advanced, soft, soft, d.calls(m)))
	case m.KeepsState() && m.Start != was.Start:
		d.refuse("%s begins with another state than it did, and no code_change makes that of the one before", m.Name)
	default:
		d.load(m)
	}
}

func (d *derivation) load(m Module) {
	d.changes = append(d.changes, call("load_module", term.Atom(m.Name), soft, soft, d.calls(m)))
}

// changeSupervisor has a supervisor take up what it would start now. One that is known under its module's name can also be
// told to start and to end children.
func (d *derivation) changeSupervisor(was, m Module) {
	if !d.knowsChildren(was, m) {
		return
	}
	d.changes = append(d.changes, call("update", term.Atom(m.Name), term.Atom("static"), term.Atom("default"), advanced, soft, soft, term.List{}))
	for _, c := range m.Children.List {
		before, there := was.Children.Find(c.ID)
		switch {
		case !there:
			d.children = append(d.children, d.supervise("restart_child", was, c))
		case before.Kind != c.Kind || before.Modules != c.Modules:
			d.refuse("the child %s of %s has become another one", term.Format(c.ID), m.Name)
		case before.Start != c.Start:
			d.refuse("the child %s of %s is started otherwise, and the one that runs would not be", term.Format(c.ID), m.Name)
		}
	}
	for _, c := range was.Children.List {
		if _, stays := m.Children.Find(c.ID); !stays {
			d.children = append(d.children, d.supervise("terminate_child", was, c), d.supervise("delete_child", was, c))
		}
	}
}

// knowsChildren tells whether both versions say what they start, and the new one finds what runs of it.
func (d *derivation) knowsChildren(was, m Module) bool {
	switch {
	case was.Children.Silent || m.Children.Silent:
		d.refuse("what the supervisor %s starts is not known: its init/1 does not come to an end", m.Name)
	case !was.Children.Known || !m.Children.Known:
		d.refuse("what the supervisor %s starts is not known without its argument", m.Name)
	case m.Children.Once:
		d.refuse("the supervisor %s cannot begin again in its process, which it does where its code changes", m.Name)
	case was.Children.Once:
		d.refuse("what the supervisor %s has started is not known: its init/1 fails where it runs again", m.Name)
	case was.Children.Dynamic != m.Children.Dynamic:
		d.refuse("the supervisor %s begins or ceases to be a simple_one_for_one, and would not find the children that run", m.Name)
	default:
		return true
	}
	return false
}

// supervise is a call of a supervisor that runs, which therefore must be known by a name.
func (d *derivation) supervise(function string, supervisor Module, c Child) term.Term {
	if supervisor.Registered == "" || supervisor.Registered == "undefined" {
		d.refuse("the supervisor %s starts other children, and is not known by a name", supervisor.Name)
	}
	return call("apply", term.Tuple{term.Atom("supervisor"), term.Atom(function), term.List{term.Atom(supervisor.Registered), c.ID}})
}

func (d *derivation) remove(m Module) {
	switch {
	case m.NIF:
		d.refuse("%s, which is gone, has native code", m.Name)
	case m.Name == d.old.Callback:
		d.refuse("%s, which started it, is gone", m.Name)
	}
	d.last = append(d.last, call("remove", term.Tuple{term.Atom(m.Name), soft, soft}))
}

// calls are the changed or new modules of the application that a module calls, but for itself.
func (d *derivation) calls(m Module) term.List {
	called := term.List{}
	for _, name := range m.Imports {
		is, ours := d.new.Module(name)
		was, there := d.old.Module(name)
		if ours && name != m.Name && there && was.MD5 != is.MD5 && !d.calledBy(is, m) {
			called = append(called, term.Atom(name))
		}
	}
	return called
}

// calledBy keeps two modules that call each other from being made to wait for each other.
func (d *derivation) calledBy(m, by Module) bool {
	return slices.Contains(m.Imports, by.Name) && m.Name > by.Name
}

func call(instruction string, args ...term.Term) term.Term {
	return append(term.Tuple{term.Atom(instruction)}, args...)
}
