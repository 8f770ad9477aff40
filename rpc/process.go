package rpc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

// atOnce is how many processes are asked at the same time whether they answer.
const atOnce = 128

// Process is a process of the node's supervision trees.
type Process struct {
	Pid     term.Term // a term.Opaque that Call takes as an argument
	Name    string    // its id under its supervisor
	Modules []string  // what its child spec says it runs; for a dynamic one, what it says itself
}

// supervisedProcs lists the processes that release_handler finds when it looks for those to suspend
// (release_handler_1:get_supervised_procs/0). A suspended supervisor makes it fail, as it would make an
// install fail.
func (n *Node) supervisedProcs(ctx context.Context) ([]Process, error) {
	answer, err := n.Call(ctx, "release_handler_1", "get_supervised_procs")
	var failed *BadRPCError
	if errors.As(err, &failed) { // with a reason that an installation would have, too
		return nil, &ReleaseError{Call: "find", Version: "the supervised processes", Reason: failed.Reason}
	}
	if err != nil {
		return nil, err
	}
	return rows(answer, 4, func(row term.Tuple) Process {
		p := Process{Pid: row[2], Name: words(row[1])}
		modules, _ := row[3].(term.List)
		for _, m := range modules {
			p.Modules = append(p.Modules, words(m))
		}
		return p
	})
}

// Busy finds the supervised processes of any of the modules that do not answer system messages within timeout:
// an install would skip them silently, and leave them with new code and old state. Processes that wait for
// messages are not disturbed, nor is anybody's state copied.
func (n *Node) Busy(ctx context.Context, modules []string, timeout time.Duration) ([]Process, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	procs, err := n.supervisedProcs(ctx)
	if err != nil {
		return nil, err
	}
	procs = slices.DeleteFunc(procs, func(p Process) bool {
		return !slices.ContainsFunc(p.Modules, func(m string) bool { return slices.Contains(modules, m) })
	})
	suspects, err := n.notWaiting(ctx, procs, timeout)
	if err != nil {
		return nil, err
	}
	return n.silent(ctx, suspects, timeout)
}

// notWaiting drops the processes that are in the receive of an OTP behaviour with nothing in their mailbox, all by
// one call. One process that is stuck in a NIF holds that up; then everybody is a suspect.
func (n *Node) notWaiting(ctx context.Context, procs []Process, timeout time.Duration) ([]Process, error) {
	pids, items := term.List{}, term.List{}
	for _, p := range procs {
		pids = append(pids, p.Pid)
		items = append(items, term.List{term.Atom("current_function"), term.Atom("message_queue_len")})
	}
	quick, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := n.Call(quick, "lists", "zipwith", etf.Fun("erlang", "process_info", 2), pids, items)
	if err != nil && quick.Err() != nil && n.Connected() && ctx.Err() == nil { // also where there was not even time to send it
		return procs, nil
	}
	if err != nil {
		return nil, err
	}
	infos, ok := answer.(term.List)
	if !ok || len(infos) != len(procs) {
		return nil, unexpected(answer)
	}
	var suspects []Process
	for i, p := range procs {
		if !waits(infos[i]) {
			suspects = append(suspects, p)
		}
	}
	return suspects, nil
}

// waits reads [{current_function, {M, F, A}}, {message_queue_len, N}], or undefined of a process that has ended.
func waits(info term.Term) bool {
	list, ok := info.(term.List)
	if !ok || len(list) != 2 {
		return info == term.Term(term.Atom("undefined"))
	}
	function, _ := list[0].(term.Tuple)
	queue, _ := list[1].(term.Tuple)
	if len(function) != 2 || len(queue) != 2 || queue[1] != term.Term(int64(0)) {
		return false
	}
	mfa, _ := function[1].(term.Tuple)
	return len(mfa) == 3 && receives(words(mfa[0]), words(mfa[1]))
}

// receives knows where the behaviours of OTP 25 to 29 wait for a message.
func receives(module, function string) bool {
	switch module {
	case "gen_server", "gen_statem":
		return strings.HasPrefix(function, "loop")
	case "gen_event":
		return function == "fetch_msg"
	case "erlang":
		return function == "hibernate"
	}
	return false
}

// silent asks each suspect for its statistics, which it mostly has none of: the cheapest of the system messages.
func (n *Node) silent(ctx context.Context, suspects []Process, timeout time.Duration) ([]Process, error) {
	var asked sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	busy, errs := make([]bool, len(suspects)), make([]error, len(suspects))
	for i, p := range suspects {
		slots <- struct{}{}
		asked.Go(func() {
			defer func() { <-slots }()
			busy[i], errs[i] = n.isSilent(ctx, p, timeout)
		})
	}
	asked.Wait()
	var silent []Process
	for i, p := range suspects {
		if busy[i] {
			silent = append(silent, p)
		}
	}
	return silent, errors.Join(errs...)
}

// isSilent is true for a process that lives and lets two calls time out: where the whole node was held up, the first one has
// timed out before its process could answer.
func (n *Node) isSilent(ctx context.Context, p Process, timeout time.Duration) (silent bool, err error) {
	if silent, err = n.timesOut(ctx, p, timeout); silent && err == nil {
		silent, err = n.timesOut(ctx, p, timeout)
	}
	return silent, err
}

// timesOut asks once (sys:statistics/3).
func (n *Node) timesOut(ctx context.Context, p Process, timeout time.Duration) (bool, error) {
	_, err := n.Call(ctx, "sys", "statistics", p.Pid, term.Atom("get"), timeout.Milliseconds())
	var failed *BadRPCError
	if !errors.As(err, &failed) {
		return false, err
	}
	exit, _ := failed.Reason.(term.Tuple)
	if len(exit) != 2 {
		return false, err
	}
	why, _ := exit[1].(term.Tuple)
	return len(why) > 0 && why[0] == term.Term(term.Atom("timeout")), nil
}
