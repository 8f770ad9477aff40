package plan

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"theseus/agent/relup"
	"theseus/agent/upgrade"
	"theseus/rpc/term"
	"theseus/volume"
)

// environment are the values of the applications' keys, as text.
type environment map[string]map[string]string

// compareConfig finds the keys that would have another value, in the applications that both releases have.
func (g *gatherer) compareConfig() {
	before, after, err := g.configs()
	if err != nil {
		g.unknown("which settings change: %v", err)
		return
	}
	for _, app := range keysOf(after) {
		if _, stays := before[app]; !stays {
			continue
		}
		g.facts.Config = append(g.facts.Config, compareKeys(app, before[app], after[app])...)
	}
}

func compareKeys(app string, before, after map[string]string) (list []Setting) {
	for key, value := range after {
		switch was, there := before[key]; {
		case !there:
			list = append(list, Setting{app, key, added})
		case was != value:
			list = append(list, Setting{app, key, changed})
		}
	}
	for key := range before {
		if _, stays := after[key]; !stays {
			list = append(list, Setting{app, key, removed})
		}
	}
	slices.SortFunc(list, func(a, b Setting) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// configs reads both releases' settings from files of the same kind: a template, or what a package of mix has brought, is not compared with what
// was made of one.
func (g *gatherer) configs() (before, after environment, err error) {
	oldDir, newDir := filepath.Dir(g.old.RelFile), filepath.Dir(g.new.RelFile)
	name := "sys.config"
	for _, other := range []string{"sys.config.src", volume.Pristine} {
		if exists(filepath.Join(oldDir, other)) && exists(filepath.Join(newDir, other)) {
			name = other
		}
	}
	was, err := readIfThere(filepath.Join(oldDir, name))
	if err != nil {
		return nil, nil, err
	}
	now, err := readIfThere(filepath.Join(newDir, name))
	if err != nil {
		return nil, nil, err
	}
	if was == now { // whatever it is filled in with
		was, now = "", ""
	}
	if before, err = environmentOf(g.old, name, was); err == nil {
		after, err = environmentOf(g.new, name, now)
	}
	return before, after, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readIfThere(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

// environmentOf lays a configuration over the defaults of the applications, as application_controller does.
func environmentOf(r relup.Release, name, config string) (environment, error) {
	all := environment{}
	for app, ebin := range r.Ebins {
		all[app] = map[string]string{}
		text, err := readIfThere(filepath.Join(ebin, app+".app"))
		if err != nil {
			return nil, err
		}
		set(all[app], defaults(text))
	}
	if config == "" {
		return all, nil
	}
	list, err := term.ParseOne([]byte(config))
	if err != nil {
		return nil, fmt.Errorf("the %s of %s %s cannot be read before it is filled in", name, r.Name, r.Version)
	}
	items, _ := list.(term.List)
	for _, item := range items {
		pair, _ := item.(term.Tuple)
		if len(pair) != 2 {
			return nil, fmt.Errorf("the %s of %s %s names other files", name, r.Name, r.Version)
		}
		if keys, known := all[atom(pair[0])]; known {
			set(keys, pair[1])
		}
	}
	return all, nil
}

func set(keys map[string]string, list term.Term) {
	pairs, _ := list.(term.List)
	for _, item := range pairs {
		if pair, is := item.(term.Tuple); is && len(pair) == 2 {
			keys[term.Format(pair[0])] = term.Format(pair[1])
		}
	}
}

// defaults are the env of an application's resource file (kernel: app(4)).
func defaults(text string) term.Term {
	t, err := term.ParseOne([]byte(text))
	app, _ := t.(term.Tuple)
	if err != nil || len(app) != 3 {
		return nil
	}
	keys, _ := app[2].(term.List)
	for _, key := range keys {
		if pair, is := key.(term.Tuple); is && len(pair) == 2 && pair[0] == term.Term(term.Atom("env")) {
			return pair[1]
		}
	}
	return nil
}

// compareStarts finds what of vm.args and env.sh waits for a restart. Templates are compared with templates.
func (g *gatherer) compareStarts() {
	oldDir, newDir := filepath.Dir(g.old.RelFile), filepath.Dir(g.new.RelFile)
	name := "vm.args"
	if src := name + ".src"; exists(filepath.Join(oldDir, src)) && exists(filepath.Join(newDir, src)) {
		name = src
	}
	before, err := upgrade.ReadStart(oldDir, name)
	var after upgrade.Start
	if err == nil {
		after, err = upgrade.ReadStart(newDir, name)
	}
	if err != nil {
		g.unknown("what the node would be started with: %v", err)
		return
	}
	g.facts.Flags, g.facts.Env = before.Flags(after), before.Env != after.Env
}
