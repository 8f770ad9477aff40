package relup

import (
	"fmt"
	"slices"

	"theseus/rpc/term"
)

// app is what is known of one version of an application by its files.
type app struct {
	name     string
	callback string // the module that starts it; empty: it is a library
	appup    bool   // it leads from the version that it was compared with
	modules  []module
}

type module struct {
	name       string
	md5        string // of its code (beam_lib:md5/1)
	kinds      []string
	codeChange string // of its state: "none" and "same" change nothing, "real" may
	nif        bool
	imports    []string // modules
	children   children
	registered string // under this name, if it is a supervisor and that is known
}

// children are those of a supervisor as it starts.
type children struct {
	known bool
	list  []child
}

type child struct {
	id      term.Term
	kind    string // worker, supervisor
	modules string
}

func (m module) is(kind string) bool { return slices.Contains(m.kinds, kind) }

// keepsState tells whether processes run the module and have a state of it.
func (m module) keepsState() bool {
	return slices.ContainsFunc(m.kinds, func(kind string) bool { return slices.Contains(statefuls, kind) })
}

// statefuls are the kinds of process that release_handler can have change their state (sasl: appup(4)).
var statefuls = []string{
	"gen_server", "gen_statem", "gen_event", "gen_fsm", "supervisor_bridge", "special", "Elixir.GenServer", "Elixir.GenStage",
}

func (m module) isSupervisor() bool { return m.is("supervisor") || m.is("Elixir.Supervisor") }

func (a app) module(name string) (module, bool) {
	i := slices.IndexFunc(a.modules, func(m module) bool { return m.name == name })
	if i < 0 {
		return module{}, false
	}
	return a.modules[i], true
}

// parseFacts reads what facts.erl answers.
func parseFacts(text []byte) (map[string]app, error) {
	t, err := term.ParseOne(text)
	if err != nil {
		return nil, err
	}
	list, ok := t.(term.List)
	if !ok {
		return nil, fmt.Errorf("it is no list: %.100s", term.Format(t))
	}
	apps := map[string]app{}
	for _, item := range list {
		a, ok := parseApp(item)
		if !ok {
			return nil, fmt.Errorf("it is no application: %.100s", term.Format(item))
		}
		apps[a.name] = a
	}
	return apps, nil
}

func parseApp(t term.Term) (a app, ok bool) {
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 4 {
		return a, false
	}
	a = app{name: atom(tuple[0]), callback: atom(tuple[1]), appup: tuple[2] == term.Atom("true")}
	if a.callback == "undefined" {
		a.callback = ""
	}
	list, ok := tuple[3].(term.List)
	for _, item := range list {
		m, good := parseModule(item)
		ok = ok && good
		a.modules = append(a.modules, m)
	}
	return a, ok
}

func parseModule(t term.Term) (m module, ok bool) {
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 8 {
		return m, false
	}
	m = module{
		name: atom(tuple[0]), kinds: atoms(tuple[2]), codeChange: atom(tuple[3]), nif: tuple[4] == term.Atom("true"),
		imports: atoms(tuple[5]), children: parseChildren(tuple[6]), registered: atom(tuple[7]),
	}
	m.md5, ok = term.AsString(tuple[1])
	return m, ok
}

func parseChildren(t term.Term) children {
	if name := atom(t); name != "" {
		return children{known: name != "unknown"}
	}
	list, known := t.(term.List)
	all := children{known: known}
	for _, item := range list {
		tuple, ok := item.(term.Tuple)
		if !ok || len(tuple) != 3 {
			return children{}
		}
		all.list = append(all.list, child{id: tuple[0], kind: atom(tuple[1]), modules: term.Format(tuple[2])})
	}
	return all
}

func atom(t term.Term) string {
	name, _ := t.(term.Atom)
	return string(name)
}

func atoms(t term.Term) (names []string) {
	list, _ := t.(term.List)
	for _, item := range list {
		if name := atom(item); name != "" {
			names = append(names, name)
		}
	}
	return names
}
