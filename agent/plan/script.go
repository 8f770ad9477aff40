package plan

import (
	"slices"

	"theseus/rpc/term"
)

// op is one low-level instruction of a relup (sasl: release_handler_1; appup(4) has those that systools makes them of). One that is none has no
// verb.
type op struct {
	verb         string
	modules      []string
	waits        map[string]string // of suspend: how long for each module, where that is said
	pre, post    string            // of load and remove: how old code is purged, before and behind
	lib, version string            // of load_object_code
	direction    string            // of code_change
	call         []term.Term       // of apply: module, function, arguments
	args         term.Tuple        // as they are
	raw          term.Term
}

// script are the instructions of all relups on the way.
func (f Facts) script() (ops []op) {
	for _, hop := range f.Prospect.Hops {
		for _, t := range hop.Instructions {
			ops = append(ops, parseOp(t))
		}
	}
	return ops
}

func parseOp(t term.Term) op {
	o := op{raw: t, waits: map[string]string{}}
	if name := atom(t); slices.Contains([]string{"point_of_no_return", "restart_new_emulator", "restart_emulator"}, name) {
		o.verb = name
		return o
	}
	tuple, _ := t.(term.Tuple)
	if len(tuple) < 2 {
		return o
	}
	o.args = tuple[1:]
	if verb := atom(tuple[0]); o.parse(verb) {
		o.verb = verb
	}
	return o
}

// parse is false for what is not of the form that it must have.
func (o *op) parse(verb string) bool {
	inner, _ := o.args[0].(term.Tuple)
	switch verb {
	case "load_object_code":
		return len(inner) == 3 && o.parseObjectCode(inner)
	case "load", "remove":
		return len(inner) == 3 && o.parseLoad(inner)
	case "suspend", "resume", "stop", "start", "purge":
		return o.parseModules(o.args[0])
	case "code_change":
		return o.parseCodeChange()
	case "apply":
		o.call = inner
		return len(inner) == 3
	}
	return verb == "sync_nodes" && len(o.args) == 2
}

func (o *op) parseObjectCode(lib term.Tuple) bool {
	o.lib = atom(lib[0])
	o.version, _ = term.AsString(lib[1])
	return o.parseModules(lib[2])
}

func (o *op) parseLoad(load term.Tuple) bool {
	o.modules, o.pre, o.post = []string{atom(load[0])}, atom(load[1]), atom(load[2])
	return true
}

// parseCodeChange reads {code_change, [{Module, Extra}]} and {code_change, up | down, [{Module, Extra}]}.
func (o *op) parseCodeChange() bool {
	o.direction = "up"
	if len(o.args) == 2 {
		o.direction = atom(o.args[0])
	}
	return o.parseModules(o.args[len(o.args)-1])
}

// parseModules reads [Module | {Module, Something}].
func (o *op) parseModules(t term.Term) bool {
	list, ok := t.(term.List)
	for _, item := range list {
		name := item
		if pair, is := item.(term.Tuple); is && len(pair) == 2 {
			name = pair[0]
			o.waits[atom(name)] = term.Format(pair[1])
		}
		o.modules = append(o.modules, atom(name))
	}
	return ok
}

// calls tells a call of M:F, and has its arguments.
func (o op) calls(module, function string) (args term.List, is bool) {
	if len(o.call) != 3 || o.call[0] != term.Term(term.Atom(module)) || o.call[1] != term.Term(term.Atom(function)) {
		return nil, false
	}
	args, is = o.call[2].(term.List)
	return args, is
}

// named are the modules of all instructions with one of these verbs, each once.
func named(ops []op, verbs ...string) (modules []string) {
	for _, o := range ops {
		if slices.Contains(verbs, o.verb) {
			modules = append(modules, o.modules...)
		}
	}
	slices.Sort(modules)
	return slices.Compact(modules)
}

// last is what the script does last to a module's code: load, remove or nothing.
func last(ops []op, module string) string {
	for _, o := range slices.Backward(ops) {
		if (o.verb == "load" || o.verb == "remove") && slices.Contains(o.modules, module) {
			return o.verb
		}
	}
	return ""
}

func atom(t term.Term) string {
	name, _ := t.(term.Atom)
	return string(name)
}
