package plan

import (
	"fmt"
	"strings"

	"theseus/rpc/term"
)

func (f Facts) steps() (steps []Step) {
	for _, hop := range f.Prospect.Hops {
		for _, t := range hop.Instructions {
			steps = append(steps, Step{From: hop.From, To: hop.To, Instruction: term.Format(t), Text: parseOp(t).String()})
		}
	}
	return steps
}

// String says what release_handler does when it meets the instruction (release_handler_1:eval/2).
func (o op) String() string {
	list := strings.Join(o.modules, ", ")
	switch o.verb {
	case "load_object_code":
		return fmt.Sprintf("read from %s %s: %s", o.lib, o.version, list)
	case "point_of_no_return":
		return "point of no return: whatever fails from here on costs a restart"
	case "load":
		return fmt.Sprintf("load %s; %s", list, o.purges())
	case "remove":
		return fmt.Sprintf("take the code of %s away; %s", list, o.purges())
	case "purge":
		return "kill every process that runs older code of " + list
	case "suspend":
		return "suspend the processes of " + o.waiting()
	case "resume":
		return "let the processes of " + list + " go on"
	case "code_change":
		return fmt.Sprintf("have the suspended processes of %s change their state (code_change, %s)", list, o.direction)
	case "stop":
		return "end the processes of " + list + " through their supervisors: their state is lost"
	case "start":
		return "start what was ended of " + list + " again"
	case "apply":
		return o.applies()
	case "sync_nodes":
		return fmt.Sprintf("wait until the nodes %s are here as well", term.Format(o.args[len(o.args)-1]))
	case "restart_new_emulator":
		return "restart the node with the new ERTS, kernel, stdlib and sasl, and go on there: state and connections end"
	case "restart_emulator":
		return "restart the node: state and connections end"
	}
	return "unknown to release_handler: " + term.Format(o.raw)
}

// purges tells what becomes of the processes that run the code before the last one, and of those that stay in the last one.
func (o op) purges() string {
	text := "refused while a process runs the code before the last one"
	if o.pre == brutal {
		text = "kills who runs the code before the last one"
	}
	if o.post == brutal {
		text += "; at the commit kills who stays in the last one"
	}
	return text
}

const brutal = "brutal_purge"

func (o op) waiting() string {
	var list []string
	for _, m := range o.modules {
		if wait := o.waits[m]; wait != "" {
			m += " (waits " + wait + " ms for each)"
		}
		list = append(list, m)
	}
	return strings.Join(list, ", ")
}

// wellKnown calls are those that systools makes of an appup's instructions, and those that people write for supervisors.
var wellKnown = []struct{ module, function, text string }{
	{"application", "start", "start the application {1}"},
	{"application", "stop", "stop the application {1}"},
	{"application", "unload", "unload the application {1}"},
	{"application", "load", "load the application {1}"},
	{"supervisor", "restart_child", "have the supervisor {1} start {2}"},
	{"supervisor", "start_child", "have the supervisor {1} start {2}"},
	{"supervisor", "terminate_child", "have the supervisor {1} end {2}"},
	{"supervisor", "delete_child", "have the supervisor {1} forget {2}"},
}

func (o op) applies() string {
	for _, known := range wellKnown {
		args, is := o.calls(known.module, known.function)
		if !is || len(args) == 0 || strings.Contains(known.text, "{2}") && len(args) < 2 {
			continue
		}
		text := strings.ReplaceAll(known.text, "{1}", term.Format(args[0]))
		if len(args) > 1 {
			text = strings.ReplaceAll(text, "{2}", term.Format(args[1]))
		}
		return text
	}
	args, _ := o.call[2].(term.List)
	return fmt.Sprintf("call %s:%s/%d", term.Format(o.call[0]), term.Format(o.call[1]), len(args))
}
