package proof

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"theseus/agent/api"
	"theseus/rpc"
	"theseus/rpc/term"
)

//go:embed witness.exprs
var witnessExprs string

// errSilent is a node that did not answer once.
var errSilent = errors.New("the node has not answered before")

const (
	watchTimeout = 3 * time.Second // for a picture, which an upgrade waits for; a node that needs longer has none
	leaveTimeout = time.Second
)

// Node is the connection to an incarnation. *rpc.Node is one.
type Node interface {
	Spawn(ctx context.Context, source string) (pid term.Term, err error)
	Do(ctx context.Context, job rpc.Job, print func([]byte) error) (*rpc.Value, error)
}

// witness is a process in the node that sees what happens there (witness.exprs).
type witness struct {
	node Node
	pid  term.Term
}

// look is what it tells.
type look struct {
	Memory, Processes, Ports, Unread       int64
	OldCode                                []api.OldCode `json:"old_code"`
	Crashes, Supervisors, Restarts, Purged int64
	Reports                                []string
	Instructions                           []instruction
}

// instruction is one of a relup when its evaluation begins, or the end of all of them.
type instruction struct {
	Kind    string // suspend, resume, other, done
	Modules []string
	Text    string
	At      int64 // µs
}

func watch(ctx context.Context, node Node) (*witness, look, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	pid, err := node.Spawn(ctx, witnessExprs)
	if err != nil {
		return nil, look{}, fmt.Errorf("cannot have the node watched: %w", err)
	}
	w := &witness{node, pid}
	first, err := w.look(ctx)
	return w, first, err
}

func (w *witness) look(ctx context.Context) (l look, err error) {
	answer, err := w.ask(ctx, "look")
	if err == nil {
		err = json.Unmarshal(answer, &l)
	}
	return l, err
}

// leave ends it. One that cannot be reached ends with the connection.
func (w *witness) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	_, _ = w.ask(ctx, "leave")
}

// ask puts a question, and returns the answer as JSON.
func (w *witness) ask(ctx context.Context, question term.Atom) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	job := rpc.CallJob("gen", "call", w.pid, term.Atom("$gen_call"), question, watchTimeout.Milliseconds())
	value, err := w.node.Do(ctx, job, func([]byte) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("cannot ask who watches the node: %w", err)
	}
	defer value.Close(ctx)
	var text bytes.Buffer
	if err := value.Write(ctx, &text, rpc.JSON); err != nil {
		return nil, err
	}
	var answer [2]json.RawMessage // ok, and what it is
	err = json.Unmarshal(text.Bytes(), &answer)
	return answer[1], err
}

// seen is what a look says of the time since the first one.
func (l look) seen() api.Seen {
	s := api.Seen{Crashes: l.Crashes, Supervisors: l.Supervisors, Restarts: l.Restarts, Purged: l.Purged, Reports: l.Reports}
	s.Instructions, s.Call = timed(l.Instructions)
	s.Suspended = suspensions(l.Instructions)
	return s
}

// timed are the instructions with how long each took: until the next one began, or all were done.
func timed(all []instruction) (list []api.Instruction, call time.Duration) {
	for i, in := range all {
		if in.Kind == "done" || i+1 == len(all) {
			continue
		}
		took := time.Duration(all[i+1].At-in.At) * time.Microsecond
		list = append(list, api.Instruction{Text: in.Text, Took: took})
		call += took
	}
	return list, call
}

// suspensions bound, for each module, how long its processes were suspended: from the beginning of the instruction that suspends
// them, one after another, to the end of the one that resumes them.
func suspensions(all []instruction) []api.Suspension {
	since, most := map[string]int64{}, map[string]int64{}
	for i, in := range all {
		for _, module := range in.Modules {
			if _, already := since[module]; in.Kind == "suspend" && !already {
				since[module] = in.At
			}
			if begun, suspended := since[module]; in.Kind == "resume" && suspended && i+1 < len(all) {
				most[module] = max(most[module], all[i+1].At-begun)
				delete(since, module)
			}
		}
	}
	var list []api.Suspension
	for module, micros := range most {
		list = append(list, api.Suspension{Module: module, Most: time.Duration(micros) * time.Microsecond})
	}
	slices.SortFunc(list, func(x, y api.Suspension) int {
		return cmp.Or(cmp.Compare(y.Most, x.Most), cmp.Compare(x.Module, y.Module))
	})
	return list
}

// after adds what the witness of the next incarnation has seen.
func after(before, s api.Seen) api.Seen {
	s.Call += before.Call
	s.Crashes, s.Supervisors, s.Restarts, s.Purged = s.Crashes+before.Crashes, s.Supervisors+before.Supervisors, s.Restarts+before.Restarts, s.Purged+before.Purged
	s.Instructions = append(slices.Clone(before.Instructions), s.Instructions...)
	s.Suspended = append(slices.Clone(before.Suspended), s.Suspended...)
	s.Reports = append(slices.Clone(before.Reports), s.Reports...)
	return s
}
