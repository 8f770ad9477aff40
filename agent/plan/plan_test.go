package plan

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/agent/relup"
	"theseus/agent/upgrade"
	"theseus/rpc/term"
	"theseus/volume"
)

// shop is an upgrade of a small release from 1.0.0 to 1.1.0 by the instructions of its relup, without a mistake unless there is one in them. It has a
// server whose state may change, a library, and a supervisor.
func shop(t *testing.T, script string) Facts {
	t.Helper()
	list, err := term.ParseOne([]byte("[" + script + "]"))
	if err != nil {
		t.Fatal(err)
	}
	return Facts{
		From: release("1.0.0", volume.Lib{App: "shop", Version: "1.0.0"}), To: release("1.1.0", volume.Lib{App: "shop", Version: "1.1.0"}),
		Prospect: upgrade.Prospect{Back: true, Hops: []upgrade.Hop{{From: "1.0.0", To: "1.1.0", Instructions: list.(term.List)}}},
		Before:   map[string]relup.App{"shop": {Name: "shop", Callback: "shop_app", Modules: []relup.Module{server("1"), library("1"), supervisor("1", "till")}}},
		After:    map[string]relup.App{"shop": {Name: "shop", Callback: "shop_app", Modules: []relup.Module{server("1"), library("1"), supervisor("1", "till")}}},
		Files:    map[string][]string{"shop-1.1.0": {"till", "price", "sup", "vat"}},
	}
}

func release(version string, libs ...volume.Lib) volume.Release {
	return volume.Release{Name: "shop", Version: version, Libs: libs}
}

func server(md5 string) relup.Module {
	return relup.Module{Name: "till", MD5: md5, Kinds: []string{"gen_server"}, CodeChange: "real", Reads: []string{"limit"}}
}

func library(md5 string) relup.Module {
	return relup.Module{Name: "price", MD5: md5, CodeChange: "none"}
}

func supervisor(md5 string, children ...string) relup.Module {
	m := relup.Module{Name: "sup", MD5: md5, Kinds: []string{"supervisor"}, CodeChange: "none", Registered: "shop_sup", Children: relup.Children{Known: true}}
	for _, id := range children {
		m.Children.List = append(m.Children.List, relup.Child{ID: term.Atom(id), Kind: "worker", Start: "{" + id + ",start_link,[]}"})
	}
	return m
}

// has puts modules into the newer release in the place of those of the same names.
func (f Facts) has(modules ...relup.Module) Facts {
	app := f.After["shop"]
	app.Modules = slices.Clone(app.Modules)
	for _, m := range modules {
		app.Modules = append(slices.DeleteFunc(app.Modules, func(other relup.Module) bool { return other.Name == m.Name }), m)
	}
	f.After = map[string]relup.App{"shop": app}
	return f
}

func (f Facts) lacks(module string) Facts {
	app := f.After["shop"]
	app.Modules = slices.DeleteFunc(slices.Clone(app.Modules), func(m relup.Module) bool { return m.Name == module })
	f.After = map[string]relup.App{"shop": app}
	return f
}

// live has the node say that all is well, but for what edit changes.
func (f Facts) live(edit func(*Live)) Facts {
	f.Live = &Live{Mode: "embedded", Believed: "1.0.0", Loaded: []string{"till", "price", "sup"}, Trees: Trees{Modules: map[string]Group{"till": {1, []string{"till"}}}}}
	edit(f.Live)
	return f
}

func (f Facts) with(edit func(*Facts)) Facts {
	edit(&f)
	return f
}

// codes are those of a plan's reasons and warnings with what they are about, behind its verdict.
func codes(p Plan) string {
	words := []string{string(p.Verdict)}
	for _, f := range append(slices.Clone(p.Reasons), p.Warnings...) {
		words = append(words, strings.TrimSuffix(string(f.Code)+":"+f.Subject, ":"))
	}
	return strings.Join(words, " ")
}

const (
	loadPrice  = `point_of_no_return,{load,{price,soft_purge,soft_purge}}`
	loadHard   = `point_of_no_return,{load,{price,brutal_purge,brutal_purge}}`
	updateTill = `point_of_no_return,{suspend,[till]},{load,{till,brutal_purge,brutal_purge}},{code_change,up,[{till,[]}]},{resume,[till]}`
	updateSup  = `point_of_no_return,{suspend,[sup]},{load,{sup,brutal_purge,brutal_purge}},{code_change,up,[{sup,[]}]},{resume,[sup]}`
)

func TestAMistakeIsNamedByItsCode(t *testing.T) {
	customers := map[string]Group{"price": {1, []string{"customer"}}}
	unable := func(m relup.Module) relup.Module { m.CodeChange = "none"; return m }
	native := func(m relup.Module) relup.Module { m.NIF = true; return m }
	otherwise := func(m relup.Module) relup.Module { m.Children.List[0].Start = "{till,start_link,[9]}"; return m }
	patient := func(m relup.Module) relup.Module { m.Children.Flags = "{one_for_one,9,9}"; return m }
	gone := release("1.1.0")
	mail := release("1.1.0", volume.Lib{App: "shop", Version: "1.1.0"}, volume.Lib{App: "mail", Version: "1"})
	for about, c := range map[string]struct {
		facts Facts
		want  string
	}{
		"nothing":                     {shop(t, loadPrice).has(library("2")), "hot"},
		"a module is forgotten":       {shop(t, loadPrice).has(library("2"), server("2")), "hot module-forgotten:till"},
		"it was not loaded yet":       {shop(t, loadPrice).has(library("2"), server("2")).live(func(l *Live) { l.Loaded = []string{"price"} }), "hot"},
		"a new one is forgotten":      {shop(t, loadPrice).has(library("2"), relup.Module{Name: "vat"}), "hot module-forgotten:vat"},
		"the node finds it by itself": {shop(t, loadPrice).has(library("2"), relup.Module{Name: "vat"}).live(func(l *Live) { l.Mode = "interactive" }), "hot"},
		"one that is gone":            {shop(t, loadPrice).has(library("2")).lacks("till"), "hot module-forgotten:till"},
		"one is taken away":           {shop(t, `point_of_no_return,{remove,{price,soft_purge,soft_purge}}`), "hot module-removed-in-use:price"},
		"no code_change":              {shop(t, updateTill).has(unable(server("2"))), "hot no-code-change:till"},
		"nobody there to change":      {shop(t, updateTill).has(unable(server("2"))).live(func(l *Live) { l.Trees.Modules = nil }), "hot"},
		"a code_change in vain": {
			shop(t, `point_of_no_return,{load,{till,soft_purge,soft_purge}}`).with(func(f *Facts) { f.Before["shop"].Modules[0].CodeChange = "same" }).has(server("2")),
			"hot code-change-unused:till",
		},
		"native code":            {shop(t, loadPrice).has(native(library("2"))), "hot nif-changed:price"},
		"a child is not started": {shop(t, updateSup).has(supervisor("2", "till", "bell")), "hot child-not-started:sup"},
		"it is started":          {shop(t, updateSup+`,{apply,{supervisor,restart_child,[shop_sup,bell]}}`).has(supervisor("2", "till", "bell")), "hot"},
		"somebody may start it":  {shop(t, updateSup+`,{apply,{shop,rings,[]}}`).has(supervisor("2", "till", "bell")), "hot"},
		"a child is not ended":   {shop(t, updateSup).has(supervisor("2")), "hot child-not-ended:sup"},
		"it is ended":            {shop(t, `{apply,{supervisor,terminate_child,[shop_sup,till]}},`+updateSup).has(supervisor("2")), "hot"},
		"a child is another one": {shop(t, updateSup).has(otherwise(supervisor("2", "till"))), "hot child-changed:sup"},
		"a supervisor is loaded": {shop(t, `point_of_no_return,{load,{sup,soft_purge,soft_purge}}`).has(patient(supervisor("2", "till"))), "hot supervisor-not-updated:sup"},
		"a patient supervisor":   {shop(t, updateSup).has(patient(supervisor("2", "till"))), "hot"},
		"an application is new":  {shop(t, loadPrice).has(library("2")).with(func(f *Facts) { f.To = mail }), "hot application-not-started:mail"},
		"it is started too":      {shop(t, loadPrice+`,{apply,{application,start,[mail,permanent]}}`).has(library("2")).with(func(f *Facts) { f.To = mail }), "hot"},
		"an application is gone": {shop(t, ``).with(func(f *Facts) { f.To, f.After = gone, nil }), "hot application-not-ended:shop"},
		"a customer in old code": {shop(t, loadHard).has(library("2")).live(func(l *Live) { l.Old = customers }), "hot purge-kills:price"},
		"he is asked for":        {shop(t, loadPrice).has(library("2")).live(func(l *Live) { l.Old = customers }), "refuse old-processes:price"},
		"a customer who waits":   {shop(t, loadHard).has(library("2")).live(func(l *Live) { l.Inside = customers }), "hot purge-kills:price"},
		"he may":                 {shop(t, loadPrice).has(library("2")).live(func(l *Live) { l.Inside = customers }), "hot old-code:price"},
		"he will be asked to go": {shop(t, loadPrice+`,{purge,[price]}`).has(library("2")).live(func(l *Live) { l.Inside = customers }), "hot purge-kills:price"},
		"old code of another":    {shop(t, updateTill).has(server("2")).live(func(l *Live) { l.Old = customers }), "hot old-code:price"},
		"nobody is found":        {shop(t, updateTill).has(server("2")).live(func(l *Live) { l.Strangers = map[string]Group{"till": {1, []string{"till"}}} }), "hot process-not-found:till"},
		"other code": {shop(t, loadPrice).has(library("2")).live(func(l *Live) {
			l.Drift = []drift.Difference{{Kind: drift.ModuleDiffers, Application: "shop", Subject: "price"}}
		}), "refuse code-drift:price"},
		"another release": {shop(t, loadPrice).has(library("2")).live(func(l *Live) { l.Believed = "0.9.0" }), "refuse record-drift"},
		"a busy process":  {shop(t, updateTill).has(server("2")).live(func(l *Live) { l.Busy = []Process{{"till", []string{"till"}}} }), "refuse busy-processes:till"},
		"a supervisor that is suspended": {
			shop(t, updateTill).has(server("2")).live(func(l *Live) { l.Trees = Trees{Failed: "suspended_supervisor"} }), "refuse suspended-supervisor",
		},
		"it does not matter":     {shop(t, loadPrice).has(library("2")).live(func(l *Live) { l.Trees = Trees{Failed: "suspended_supervisor"} }), "hot"},
		"a file that is missing": {shop(t, `{load_object_code,{shop,"1.1.0",[bell]}}`), "refuse no-such-file:bell"},
		"what is no instruction": {shop(t, `{sing,[shop]}`), "refuse bad-relup-file"},
		"a library from nowhere": {shop(t, `{load_object_code,{till,"9",[till]}}`), "refuse no-such-file:till"},
		"flags of vm.args":       {shop(t, ``).with(func(f *Facts) { f.Flags = []string{"+P"} }), "hot config-cold"},
		"env.sh":                 {shop(t, ``).with(func(f *Facts) { f.Env = true }), "hot config-cold"},
		"a setting of kernel":    {shop(t, ``).with(func(f *Facts) { f.Config = []Setting{{"kernel", "logger", changed}} }), "hot config-cold:kernel"},
		"a setting is read once": {shop(t, ``).with(func(f *Facts) { f.Config = []Setting{{"shop", "limit", changed}} }), "hot config-not-taken-up:shop"},
		"one that is read often": {shop(t, ``).with(func(f *Facts) { f.Config = []Setting{{"shop", "opens", changed}} }), "hot"},
		"a setting by hand": {shop(t, ``).live(func(l *Live) {
			l.Drift = []drift.Difference{{Kind: drift.EnvironmentExtra, Application: "shop", Subject: "shop:limit"}}
		}), "hot config-dropped:shop"},
		"no way back":      {shop(t, ``).with(func(f *Facts) { f.Prospect.Back = false }), "hot way-back-restart"},
		"given up":         {shop(t, ``).with(func(f *Facts) { f.GivenUp = "gate well: all is lost" }), "hot given-up"},
		"an older version": {shop(t, ``).with(func(f *Facts) { f.Older = true }), "hot downgrade"},
		"a relup that restarts": {
			shop(t, `restart_emulator`).has(library("2")).with(func(f *Facts) { f.Prospect.Restarts = true }), "restart needs-restart",
		},
	} {
		t.Run(about, func(t *testing.T) {
			if diff := cmp.Diff(c.want, codes(Make(c.facts))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARelupThatIsMadeIsAnOfferUntilItIsAllowed(t *testing.T) {
	facts := shop(t, loadPrice).has(library("2")).with(func(f *Facts) {
		f.Prospect.Back = false
		f.Prospect.NoWay = []*api.Error{{Code: "no-relup", Message: "no relup leads there"}}
		f.Prospect.Derived = &relup.Made{Derived: map[string]string{"shop": "…"}, Warnings: []string{"take care"}}
	})
	if got, want := codes(Make(facts)), "restart no-relup derived:shop systools way-back-restart"; got != want {
		t.Errorf("an offer is %q, not %q", got, want)
	}
	facts.MayDerive = true
	p := Make(facts)
	if got, want := codes(p), "hot derived:shop systools way-back-restart"; got != want {
		t.Errorf("allowed it is %q, not %q", got, want)
	}
	if diff := cmp.Diff(Way{Path: []string{"1.0.0", "1.1.0"}, Derived: []string{"shop"}, Made: true, Back: "restart"}, p.Way); diff != "" {
		t.Error(diff)
	}
}

func TestAllReasonsAreTold(t *testing.T) {
	facts := shop(t, updateTill).has(server("2")).with(func(f *Facts) {
		f.Refusals = []Finding{{Code: "conflicting-lib"}, {Code: "no-space"}}
		f.Prospect.Refusals = []*api.Error{{Code: "downgrade"}}
	}).live(func(l *Live) {
		l.Drift = []drift.Difference{{Kind: drift.ModuleDiffers, Application: "shop", Subject: "till"}}
	})
	if got, want := codes(Make(facts)), "refuse conflicting-lib no-space downgrade code-drift:till"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestTheProcessesAreCountedOnlyWhereSomebodyWasAsked(t *testing.T) {
	facts := shop(t, updateTill+`,{stop,[bell]}`).has(server("2"))
	want := []Affected{{"till", "suspended", -1, []string{}}, {"bell", "restarted", -1, []string{}}}
	if diff := cmp.Diff(want, Make(facts).Processes); diff != "" {
		t.Error(diff)
	}
	want = []Affected{{"till", "suspended", 1, []string{"till"}}, {"bell", "restarted", 0, []string{}}}
	if diff := cmp.Diff(want, Make(facts.live(func(*Live) {})).Processes); diff != "" {
		t.Error(diff)
	}
}

func TestEachCodeHasItsLineInTheManual(t *testing.T) {
	source, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/plan.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Code = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 25 {
		t.Fatalf("there are %d codes", len(found))
	}
	for _, code := range found {
		if !strings.Contains(string(manual), "`"+code[1]+"`") {
			t.Errorf("docs/plan.md does not have %s", code[1])
		}
	}
}
