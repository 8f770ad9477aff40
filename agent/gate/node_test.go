package gate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"theseus/integration/emulator"
	"theseus/rpc"
)

// TestAFunctionOfTheNodeSaysWhetherAllIsWell in time, whatever it does.
func TestAFunctionOfTheNodeSaysWhetherAllIsWell(t *testing.T) {
	r := newRig(t)
	booted := emulator.Boot(t)
	node := booted.Node
	before := r.left()
	for call, want := range map[string]string{
		`call = "erlang:is_alive"`:                             "",
		`call = "timer:sleep", args = "[300]"`:                 "",
		`call = "erlang:element", args = "[1, {error, full}]"`: "erlang:element answers error",
		`call = "erlang:node"`:                                 "answers '" + booted.Name + "'",
		`call = "timer:sleep", args = "[infinity]"`:            "no answer within 2s",
		`call = "erlang:error", args = "[oops]"`:               "oops",
		`call = "erlang:exit", args = "[oops]"`:                "oops",
		`call = "no_such:function"`:                            "undef",
		`call = "lists:seq", args = "[1, 100000]"`:             "answers [1,2,3",
		`call = "binary:copy", args = "[<<0>>, 90000000]"`:     "",
	} {
		took, err := r.asks(t, timeout(want), "rpc = {"+call+"}", node)
		fails := want != "" || strings.Contains(call, "binary:copy")
		if (err != nil) != fails || err != nil && !strings.Contains(err.Error(), want) || took > patience {
			t.Errorf("%s: %.500v, after %s", call, err, took)
		}
	}
	r.leavesNothing(t, before)
}

// vitality is a node that says what the test says.
type vitality struct {
	Node
	now     rpc.Vitals
	mailbox int64
}

func (v *vitality) Vitals(context.Context) (rpc.Vitals, error) { return v.now, nil }
func (v *vitality) CountVitals(context.Context) error          { return nil }
func (v *vitality) Mailbox(context.Context) (int64, string, error) {
	return v.mailbox, "idler", nil
}

func TestGrowthIsComparedWithTheInstallation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set, err := parsed(t, `
[gates.crashes]
crashes = {most = 1}
[gates.logs]
logs = {level = "error", most = 3, within = "10s"}
[gates.mailbox]
mailbox = {most = 10}
[gates.memory]
memory = {most = "20%"}
[gates.restarts]
restarts = {most = 0}
`)
		if err != nil {
			t.Fatal(err)
		}
		node := &vitality{mailbox: 100, now: rpc.Vitals{Memory: 1000, Level: "notice", Counted: true, Logged: map[string]int{}}}
		since, err := Begin(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		about := Subject{Since: since, Node: func(context.Context) (Node, error) { return node, nil }}
		says := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, r := range set.Once().Ask(t.Context(), Now, about) {
				if r.Err != nil {
					got = append(got, r.Gate.Name+": "+r.Err.Error())
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s:\ngot  %q\nwant %q", when, got, want)
			}
		}
		says("at first")
		node.now.Memory, node.now.Crashes, node.mailbox, node.now.Logged["critical"] = 1200, 1, 110, 3
		says("within the limits")
		node.now.Memory, node.now.Crashes, node.now.Restarts, node.mailbox, node.now.Logged["error"] = 1201, 2, 1, 111, 1
		all := []string{
			"crashes: 2 processes have crashed since the installation, more than 1",
			"logs: 4 events of level error or worse within 10s, more than 3",
			"mailbox: 111 messages wait for idler; before the installation the longest mailbox had 100",
			"memory: the node's memory has grown from 0.0 MB to 0.0 MB, by more than 20%",
			"restarts: 1 children of supervisors have ended since the installation, more than 0",
		}
		says("beyond them", all...)
		<-time.After(11 * time.Second)
		says("when the log is quiet again", all[0], all[2], all[3], all[4])
		node.now.Counted = false
		says("when nobody counts", "crashes: the node does not count any more what it logs: its filter was taken away",
			"logs: the node does not count any more what it logs: its filter was taken away", all[2], all[3],
			"restarts: the node does not count any more what it logs: its filter was taken away")
	})
}
