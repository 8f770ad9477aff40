package upgrade

import (
	"context"
	"fmt"
	"slices"

	"theseus/agent/api"
	"theseus/rpc/term"
	"theseus/volume"
)

// child is one that a relup has its supervisor start.
type child struct{ supervisor, id term.Term }

func (c child) is(other child) bool {
	return term.Format(c.supervisor) == term.Format(other.supervisor) && term.Format(c.id) == term.Format(other.id)
}

func (c child) String() string {
	return fmt.Sprintf("child %s of supervisor %s", term.Format(c.id), term.Format(c.supervisor))
}

// startedChildren are those that run when the instructions are through: {apply,{supervisor,restart_child,[Supervisor,Id]}}
// (sasl: appup(4)).
func startedChildren(instructions []term.Term) (list []child) {
	for _, instruction := range instructions {
		apply, _ := instruction.(term.Tuple)
		if len(apply) != 2 || apply[0] != term.Atom("apply") {
			continue
		}
		call, _ := apply[1].(term.Tuple)
		if len(call) != 3 || call[0] != term.Atom("supervisor") {
			continue
		}
		args, _ := call[2].(term.List)
		if len(args) != 2 {
			continue
		}
		c := child{args[0], args[1]}
		switch call[1] {
		case term.Atom("restart_child"):
			list = append(list, c)
		case term.Atom("terminate_child"), term.Atom("delete_child"):
			list = slices.DeleteFunc(list, c.is)
		}
	}
	return list
}

// checkChildren makes sure of them. release_handler throws away what restart_child answers (release_handler_1:eval/2): one whose
// start fails stays in its supervisor without a process, and nobody ever tries again.
func (a *attempt) checkChildren(ctx context.Context, h hop) error {
	for _, c := range startedChildren(h.instructions) {
		why, err := a.whyNotStarted(ctx, c)
		a.outwait(ctx, err)
		switch {
		case err != nil && (ctx.Err() != nil || a.nodeEnded()):
			return err
		case err != nil:
			a.warn("cannot make sure that the %s runs: %v", c, err)
		case why != "" && a.kind == volume.KindRollback: // which leads out of what is not well, and nothing holds it up
			a.warn("the %s does not start: %s", c, why)
		case why != "":
			return refuse(api.CodeChildNotStarted, "the %s does not start: %s", c, why)
		}
	}
	return nil
}

// whyNotStarted is empty for a child that runs, or had nothing to do. One without a process is started once more, since its
// supervisor does not know any more why it failed.
func (a *attempt) whyNotStarted(ctx context.Context, c child) (why string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	call := func(function string, args ...term.Term) (term.Term, error) {
		return ask(ctx, a, func(h Handler) (term.Term, error) { return h.Call(ctx, "supervisor", function, args...) })
	}
	all, err := call("which_children", c.supervisor)
	if err != nil || !lacksProcess(all, c.id) {
		return "", err
	}
	spec, err := call("get_childspec", c.supervisor, c.id)
	if err != nil || !isPermanent(spec) { // another one may have come to its end
		return "", err
	}
	answer, err := call("restart_child", c.supervisor, c.id)
	if err != nil {
		return "", err
	}
	t, _ := answer.(term.Tuple)
	if len(t) != 2 || t[0] != term.Atom("error") || t[1] == term.Term(term.Atom("running")) { // {ok,undefined} is of one that is ignored
		return "", nil
	}
	text, _ := term.FormatMax(t[1], 300)
	return text, nil
}

// lacksProcess reads what supervisor:which_children/1 answers: {Id, Child, Type, Modules} of each, where Child is undefined or
// restarting without a process.
func lacksProcess(children, id term.Term) bool {
	list, _ := children.(term.List)
	for _, element := range list {
		t, _ := element.(term.Tuple)
		if len(t) == 4 && term.Format(t[0]) == term.Format(id) {
			return t[1] == term.Term(term.Atom("undefined")) || t[1] == term.Term(term.Atom("restarting"))
		}
	}
	return false
}

// isPermanent reads what supervisor:get_childspec/2 answers.
func isPermanent(answer term.Term) bool {
	t, _ := answer.(term.Tuple)
	if len(t) != 2 {
		return false
	}
	spec, _ := t[1].(term.Map)
	return slices.ContainsFunc(spec, func(p term.Pair) bool {
		return p.Key == term.Term(term.Atom("restart")) && p.Value == term.Term(term.Atom("permanent"))
	})
}
