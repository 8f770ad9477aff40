package plan

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/rpc/term"
)

//go:embed live.exprs
var liveScript string

// liveTimeout is for all looks together, each of which has its own end.
const liveTimeout = 2 * time.Minute

// Live is what the node says of itself.
type Live struct {
	Mode      string           `json:"mode"`     // of its code server: embedded, interactive
	Believed  string           `json:"believed"` // the version that release_handler takes for the one that runs
	Loaded    []string         `json:"loaded"`   // of the modules that change
	Trees     Trees            `json:"trees"`
	Busy      []Process        `json:"busy"`      // of those to be suspended
	Old       map[string]Group `json:"old"`       // who runs older code, by module
	Inside    map[string]Group `json:"inside"`    // who waits in code that will be replaced
	Strangers map[string]Group `json:"strangers"` // who runs a module that is suspended, and is not found
	Unknown   []string         `json:"unknown"`   // what it did not come to an end of, and why
	// Drift is the code that an upgrade would be refused for, and the settings that it would make anew.
	Drift []drift.Difference `json:"-"`
}

// Trees are the supervision trees as release_handler sees them.
type Trees struct {
	Failed  string           `json:"failed"`  // it did not come to an end of them
	Modules map[string]Group `json:"modules"` // processes of those that the relup looks for
}

// Answered says that release_handler will find its way through them.
func (t Trees) Answered() bool { return t.Failed == "" }

// Group are processes.
type Group struct {
	Count int      `json:"count"`
	Names []string `json:"names"` // some of them
}

func (g Group) String() string {
	text := strings.Join(g.Names, ", ")
	if more := g.Count - len(g.Names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Process is one of them.
type Process struct {
	Name    string   `json:"name"`
	Modules []string `json:"modules"`
}

// question is what the script is asked for.
type question struct {
	sought, suspended, touched, modules []string
}

func (q question) source() string {
	asked := term.Map{
		{Key: term.Atom("sought"), Value: atomList(q.sought)},
		{Key: term.Atom("suspended"), Value: atomList(q.suspended)},
		{Key: term.Atom("touched"), Value: atomList(q.touched)},
		{Key: term.Atom("modules"), Value: atomList(q.modules)},
	}
	return "Asked = " + term.Format(asked) + ",\n" + liveScript
}

func atomList(names []string) term.List {
	list := term.List{}
	for _, name := range names {
		list = append(list, term.Atom(name))
	}
	return list
}

// ask has the script evaluated.
func ask(ctx context.Context, client *api.Client, q question) (*Live, error) {
	live := &Live{}
	if err := api.Ask(ctx, client, q.source(), liveTimeout, live); err != nil {
		return nil, err
	}
	return live, nil
}

// asked is a node as its agent asks it.
type asked struct{ *api.Client }

// Evaluate is what drift.Code needs.
func (a asked) Evaluate(ctx context.Context, expressions string, out io.Writer) error {
	var value json.RawMessage
	if err := api.Ask(ctx, a.Client, expressions, liveTimeout, &value); err != nil {
		return err
	}
	_, err := out.Write(value)
	return err
}

// liveReasons are what the engine's checks would refuse now.
func (f Facts) liveReasons() (found []Finding) {
	live, ops := f.Live, f.script()
	for _, d := range live.Drift {
		if d.Kind != drift.ModuleDiffers {
			continue
		}
		found = append(found, Finding{
			Code: CodeDrift, Subject: d.Subject, Text: fmt.Sprintf("the node runs other code of %s than %s %s has on the volume, from which the relup was made", d.Subject, f.From.Name, f.From.Version),
			Hint: "restart the node, or load what the release holds (code:load_file/1)",
		})
	}
	if live.Believed != "" && live.Believed != f.From.Version {
		found = append(found, Finding{
			Code: RecordDrift, Text: fmt.Sprintf("%s runs, and release_handler believes that %s does", f.From.Version, live.Believed),
			Hint: "a restart of the container corrects it",
		})
	}
	if looks := named(ops, "suspend", "stop"); !live.Trees.Answered() && len(looks) > 0 {
		found = append(found, Finding{
			Code: SuspendedSupervisor, Text: "release_handler looks for the processes of " + strings.Join(looks, ", ") + " and does not get through the supervision trees: " + live.Trees.Failed,
			Hint: "a supervisor is suspended, or a child specification is wrong; the installation would end the node",
		})
	}
	for _, p := range live.Busy {
		found = append(found, Finding{
			Code: Busy, Subject: p.Name, Text: fmt.Sprintf("%s (%s) must change and does not answer", p.Name, strings.Join(p.Modules, ", ")),
			Hint: "try again when it is idle",
		})
	}
	return append(found, f.oldProcesses(ops)...)
}

// oldProcesses are those that a soft purge refuses (release_handler_1:check_old_processes/2).
func (f Facts) oldProcesses(ops []op) (found []Finding) {
	for _, o := range ops {
		if o.verb != "load" && o.verb != "remove" || o.pre == brutal || f.Prospect.NewERTS {
			continue
		}
		m := o.modules[0]
		group, lingers := f.Live.Old[m]
		if lingers && !slices.ContainsFunc(found, func(other Finding) bool { return other.Subject == m }) {
			found = append(found, Finding{
				Code: OldProcesses, Subject: m, Text: fmt.Sprintf("processes still run old code of module %s: %s", m, group),
				Hint: "have them go on to the code that is loaded, or end them",
			})
		}
	}
	return found
}
