package relup

import (
	"fmt"
	"slices"

	"theseus/rpc/term"
)

// derive finds the instructions that bring an application without an appup from one version to the other (sasl: appup(4)):
//
//	module added, deleted           add_module first, delete_module last
//	module changed, supervisor      {update, M, supervisor}; what it starts in addition is started, what it no longer does, ended
//	module changed, has a state     {update, M, {advanced, []}} where its code_change may make another one of it
//	module changed, any other       {load_module, M}: nobody is suspended for it
//
// All with soft_purge: a process that still runs the code before the last one is refused, and never killed. A module comes after those changed ones that it calls. The reason says why nothing can be derived; then the way is a restart.
func derive(old, new app) (instructions []term.Term, reason string) {
	d := derivation{old: old, new: new}
	for _, m := range new.modules {
		was, there := old.module(m.name)
		switch {
		case !there:
			d.first = append(d.first, call("add_module", term.Atom(m.name)))
		case was.md5 != m.md5:
			d.change(was, m)
		}
	}
	for _, m := range old.modules {
		if _, stays := new.module(m.name); !stays {
			d.remove(m)
		}
	}
	if d.reason != "" {
		return nil, fmt.Sprintf("%s: %s", new.name, d.reason)
	}
	return slices.Concat(d.first, d.changes, d.children, d.last), ""
}

const soft = term.Atom("soft_purge")

type derivation struct {
	old, new                       app
	first, changes, children, last []term.Term
	reason                         string
}

func (d *derivation) refuse(format string, args ...any) {
	if d.reason == "" {
		d.reason = fmt.Sprintf(format, args...)
	}
}

func (d *derivation) change(was, m module) {
	name := term.Atom(m.name)
	switch {
	case m.nif || was.nif:
		d.refuse("%s has native code, which cannot be loaded beside its older self", m.name)
	case m.isSupervisor() != was.isSupervisor() || m.keepsState() != was.keepsState():
		d.refuse("%s has become another kind of process", m.name)
	case m.isSupervisor():
		d.changeSupervisor(was, m)
	case m.name == d.new.callback:
		d.refuse("%s, which starts it, has changed: what it starts now nobody can see", m.name)
	case m.keepsState() && (m.codeChange == "real" || was.codeChange == "real"):
		d.changes = append(d.changes, call("update", name, term.Tuple{term.Atom("advanced"), term.List{}}, soft, soft, d.calls(m)))
	default:
		d.changes = append(d.changes, call("load_module", name, soft, soft, d.calls(m)))
	}
}

// changeSupervisor has a supervisor take up what it would start now. One that is known under its module's name can also be
// told to start and to end children.
func (d *derivation) changeSupervisor(was, m module) {
	if !was.children.known || !m.children.known {
		d.refuse("what the supervisor %s starts is not known without its argument", m.name)
		return
	}
	d.changes = append(d.changes, call("update", term.Atom(m.name), term.Atom("supervisor")))
	for _, c := range m.children.list {
		before, there := was.children.find(c)
		switch {
		case !there:
			d.children = append(d.children, d.supervise("restart_child", was, c))
		case before.kind != c.kind || before.modules != c.modules:
			d.refuse("the child %s of %s has become another one", term.Format(c.id), m.name)
		}
	}
	for _, c := range was.children.list {
		if _, stays := m.children.find(c); !stays {
			d.children = append(d.children, d.supervise("terminate_child", was, c), d.supervise("delete_child", was, c))
		}
	}
}

func (c children) find(one child) (child, bool) {
	i := slices.IndexFunc(c.list, func(other child) bool { return term.Format(other.id) == term.Format(one.id) })
	if i < 0 {
		return child{}, false
	}
	return c.list[i], true
}

// supervise is a call of a supervisor that runs, which therefore must be known by a name.
func (d *derivation) supervise(function string, supervisor module, c child) term.Term {
	if supervisor.registered == "" || supervisor.registered == "undefined" {
		d.refuse("the supervisor %s starts other children, and is not known by a name", supervisor.name)
	}
	return call("apply", term.Tuple{term.Atom("supervisor"), term.Atom(function), term.List{term.Atom(supervisor.registered), c.id}})
}

func (d *derivation) remove(m module) {
	switch {
	case m.nif:
		d.refuse("%s, which is gone, has native code", m.name)
	case m.name == d.old.callback:
		d.refuse("%s, which started it, is gone", m.name)
	}
	d.last = append(d.last, call("delete_module", term.Atom(m.name)))
}

// calls are the changed or new modules of the application that a module calls, but for itself.
func (d *derivation) calls(m module) term.List {
	called := term.List{}
	for _, name := range m.imports {
		is, ours := d.new.module(name)
		was, there := d.old.module(name)
		if ours && name != m.name && there && was.md5 != is.md5 && !d.calledBy(is, m) {
			called = append(called, term.Atom(name))
		}
	}
	return called
}

// calledBy keeps two modules that call each other from being made to wait for each other.
func (d *derivation) calledBy(m, by module) bool {
	return slices.Contains(m.imports, by.name) && m.name > by.name
}

func call(instruction string, args ...term.Term) term.Term {
	return append(term.Tuple{term.Atom(instruction)}, args...)
}
