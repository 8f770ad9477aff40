// Package plan tells what an upgrade would do before anything is done: which way it would take, what changes, who is suspended and
// who dies, and what about it is a mistake. It is a pure function (this file) of facts that are gathered beside the agent (gather.go):
// from the package, from the volume, and, where a node runs, from that (live.exprs). The way, and what would be refused, is found by the engine's own
// planning (upgrade.Engine.Foresee). Nothing is changed: no file of the volume, no record, no code of the node.
package plan

import (
	"slices"
	"strings"
)

// Verdict is what would become of an upgrade.
type Verdict string

// The verdicts.
const (
	Hot     Verdict = "hot"     // it goes on in service
	Restart Verdict = "restart" // only a restart of the node leads there
	Refuse  Verdict = "refuse"  // nothing would be done
)

// Plan is all that is known beforehand. Its form as JSON is stable: fields are only added.
type Plan struct {
	Name    string  `json:"name"`
	From    string  `json:"from"`
	To      string  `json:"to"`
	Live    bool    `json:"live"` // a node that runs was asked
	Verdict Verdict `json:"verdict"`
	// Reasons are why it is not hot, all of them; Warnings what is wrong and forbids nothing. Codes of both are stable words.
	Reasons  []Finding `json:"reasons"`
	Warnings []Finding `json:"warnings"`
	// Unknown is what could not be found out, and why.
	Unknown      []string      `json:"unknown"`
	Way          Way           `json:"way"`
	Applications []Application `json:"applications"` // that change
	Modules      []Module      `json:"modules"`      // that change, by their code
	Steps        []Step        `json:"steps"`        // of the relups, in words
	Processes    []Affected    `json:"processes"`    // that are not left alone
	Config       []Setting     `json:"config"`       // what sys.config and the applications' defaults say otherwise; never the values
	Cold         []string      `json:"cold"`         // what waits for the node's next start
	Disk         Disk          `json:"disk"`
}

// Finding is a reason or a warning.
type Finding struct {
	Code    Code   `json:"code"`
	Subject string `json:"subject,omitempty"` // the module, the application, the process that it is about
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`
}

// Way is how the node gets there.
type Way struct {
	Path    []string `json:"path"`    // all versions on it; empty where no relup leads there
	Derived []string `json:"derived"` // applications whose instructions nobody wrote
	Made    bool     `json:"made"`    // the relup was made for this plan: the package has none
	Back    string   `json:"back"`    // hot, restart: how a rollback leads back
}

// Application is one that changes.
type Application struct {
	Name   string `json:"name"`
	Change string `json:"change"` // added, removed, changed
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

// Module is one that changes.
type Module struct {
	Application string   `json:"application"`
	Name        string   `json:"name"`
	Change      string   `json:"change"` // added, removed, changed
	Kinds       []string `json:"kinds"`  // behaviours
	NIF         bool     `json:"nif"`
	Means       []string `json:"means"` // what the relup does with it: load, suspend, code_change, …
}

// Step is one instruction.
type Step struct {
	From        string `json:"from"`
	To          string `json:"to"`
	Instruction string `json:"instruction"` // as Erlang writes it
	Text        string `json:"text"`
}

// Affected are the processes of a module that an instruction finds, as release_handler will.
type Affected struct {
	Module string   `json:"module"`
	Effect string   `json:"effect"` // suspended, restarted
	Count  int      `json:"count"`  // -1: nobody was asked
	Names  []string `json:"names"`  // some of them
}

// Setting is a key of an application's environment that would have another value.
type Setting struct {
	Application string `json:"application"`
	Key         string `json:"key"`
	Change      string `json:"change"` // added, removed, changed
}

// Disk is the room on the volume, bytes.
type Disk struct {
	Needed int64 `json:"needed"`
	Free   int64 `json:"free"`
}

// The changes of applications, modules and settings.
const (
	added   = "added"
	removed = "removed"
	changed = "changed"
)

// Make concludes from the facts.
func Make(f Facts) Plan {
	p := Plan{
		Name: f.To.Name, From: f.From.Version, To: f.To.Version, Live: f.Live != nil,
		Reasons: f.reasons(), Unknown: f.Unknown, Way: f.way(),
		Applications: f.applications(), Modules: f.modules(), Steps: f.steps(), Processes: f.affected(),
		Config: f.Config, Cold: f.cold(), Disk: f.Disk,
	}
	p.Verdict = f.verdict(p.Reasons)
	for _, check := range checks {
		p.Warnings = append(p.Warnings, check(f)...)
	}
	slices.SortStableFunc(p.Warnings, func(a, b Finding) int { return strings.Compare(string(a.Code)+a.Subject, string(b.Code)+b.Subject) })
	p.fill()
	return p
}

// fill has empty lists in the place of none, for who reads JSON.
func (p *Plan) fill() {
	p.Reasons, p.Warnings, p.Unknown = some(p.Reasons), some(p.Warnings), some(p.Unknown)
	p.Applications, p.Modules, p.Steps, p.Processes = some(p.Applications), some(p.Modules), some(p.Steps), some(p.Processes)
	p.Config, p.Cold, p.Way.Path, p.Way.Derived = some(p.Config), some(p.Cold), some(p.Way.Path), some(p.Way.Derived)
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// verdict follows from the reasons: the worst one counts.
func (f Facts) verdict(reasons []Finding) Verdict {
	verdict := Hot
	for _, r := range reasons {
		switch {
		case !r.Code.restarts():
			return Refuse
		default:
			verdict = Restart
		}
	}
	return verdict
}

func (f Facts) way() Way {
	w := Way{Back: string(Restart)}
	if f.Prospect.Back && len(f.Prospect.Hops) > 0 {
		w.Back = string(Hot)
	}
	for i, hop := range f.Prospect.Hops {
		if i == 0 {
			w.Path = append(w.Path, hop.From)
		}
		w.Path = append(w.Path, hop.To)
	}
	if made := f.Prospect.Derived; made != nil {
		w.Made = true
		for name := range made.Derived {
			w.Derived = append(w.Derived, name)
		}
		slices.Sort(w.Derived)
	}
	return w
}
