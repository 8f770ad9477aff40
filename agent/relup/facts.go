package relup

import (
	"fmt"
	"slices"

	"theseus/rpc/term"
)

// App is what is known of one version of an application by its files.
type App struct {
	Name     string
	Callback string // the module that starts it; empty: it is a library
	Hears    bool   // that has config_change/3
	Appup    bool   // it leads from the version that it was compared with
	Modules  []Module
}

// Module is what is known of one by its file.
type Module struct {
	Name       string
	MD5        string // of its code (beam_lib:md5/1)
	Kinds      []string
	CodeChange string // of its state: "none" and "same" change nothing, "real" may
	NIF        bool
	Imports    []string // modules
	Children   Children
	Registered string   // under this name, if it is a supervisor and that is known
	Reads      []string // keys of environments that a process of it reads when it starts, as far as its debug_info tells
	Source     string   // digest of what was written, whatever compiled it; empty: the file does not say
	Start      string   // the same of the part of it that begins a process, or the application
}

// Children are those of a supervisor as it starts.
type Children struct {
	Known   bool
	Silent  bool // its init did not come to an end
	Once    bool // it cannot begin again in its process
	Dynamic bool // they are started in it: simple_one_for_one
	List    []Child
	Flags   string // how it supervises them, as Erlang writes it
}

// Child is one of a supervisor's.
type Child struct {
	ID      term.Term
	Kind    string // worker, supervisor
	Modules string
	Start   string // as Erlang writes it
	Rest    string // restart and shutdown, likewise
}

func (m Module) is(kind string) bool { return slices.Contains(m.Kinds, kind) }

// KeepsState tells whether processes run the module and have a state of it.
func (m Module) KeepsState() bool {
	return slices.ContainsFunc(m.Kinds, func(kind string) bool { return slices.Contains(statefuls, kind) })
}

// statefuls are the kinds of process that release_handler can have change their state (sasl: appup(4)).
var statefuls = []string{
	"gen_server", "gen_statem", "gen_event", "gen_fsm", "supervisor_bridge", "special", "Elixir.GenServer", "Elixir.GenStage",
}

// IsSupervisor tells whether it is one by its behaviour.
func (m Module) IsSupervisor() bool { return m.is("supervisor") || m.is("Elixir.Supervisor") }

// IsSpecial tells whether it answers system messages itself (stdlib: sys).
func (m Module) IsSpecial() bool { return m.is("special") }

// Module finds one by its name.
func (a App) Module(name string) (Module, bool) {
	i := slices.IndexFunc(a.Modules, func(m Module) bool { return m.Name == name })
	if i < 0 {
		return Module{}, false
	}
	return a.Modules[i], true
}

// Find looks for a child by its id.
func (c Children) Find(id term.Term) (Child, bool) {
	i := slices.IndexFunc(c.List, func(other Child) bool { return term.Format(other.ID) == term.Format(id) })
	if i < 0 {
		return Child{}, false
	}
	return c.List[i], true
}

// parseFacts reads what facts.erl answers.
func parseFacts(text []byte) (map[string]App, error) {
	t, err := term.ParseOne(text)
	if err != nil {
		return nil, err
	}
	list, ok := t.(term.List)
	if !ok {
		return nil, fmt.Errorf("it is no list: %.100s", term.Format(t))
	}
	apps := map[string]App{}
	for _, item := range list {
		a, ok := parseApp(item)
		if !ok {
			return nil, fmt.Errorf("it is no application: %.100s", term.Format(item))
		}
		apps[a.Name] = a
	}
	return apps, nil
}

func parseApp(t term.Term) (a App, ok bool) {
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 5 {
		return a, false
	}
	a = App{Name: atom(tuple[0]), Callback: atom(tuple[1]), Appup: tuple[2] == term.Atom("true"), Hears: tuple[3] == term.Atom("true")}
	if a.Callback == "undefined" {
		a.Callback = ""
	}
	list, ok := tuple[4].(term.List)
	for _, item := range list {
		m, good := parseModule(item)
		ok = ok && good
		a.Modules = append(a.Modules, m)
	}
	return a, ok
}

func parseModule(t term.Term) (m Module, ok bool) {
	tuple, ok := t.(term.Tuple)
	if !ok || len(tuple) != 11 {
		return m, false
	}
	m = Module{
		Name: atom(tuple[0]), Kinds: atoms(tuple[2]), CodeChange: atom(tuple[3]), NIF: tuple[4] == term.Atom("true"),
		Imports: atoms(tuple[5]), Children: parseChildren(tuple[6]), Registered: atom(tuple[7]), Reads: atoms(tuple[8]),
		Source: text(tuple[9]), Start: text(tuple[10]),
	}
	m.MD5, ok = term.AsString(tuple[1])
	return m, ok
}

func parseChildren(t term.Term) Children {
	if name := atom(t); name != "" {
		return Children{Known: name != "unknown" && name != "silent", Silent: name == "silent", Once: name == "once", Dynamic: name == "dynamic"}
	}
	tuple, _ := t.(term.Tuple)
	if len(tuple) != 2 {
		return Children{}
	}
	list, known := tuple[1].(term.List)
	all := Children{Known: known, Flags: text(tuple[0])}
	for _, item := range list {
		child, ok := item.(term.Tuple)
		if !ok || len(child) != 5 {
			return Children{}
		}
		all.List = append(all.List, Child{ID: child[0], Kind: atom(child[1]), Modules: term.Format(child[2]), Start: text(child[3]), Rest: text(child[4])})
	}
	return all
}

func text(t term.Term) string {
	s, _ := term.AsString(t)
	return s
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
