// Package report measures what the report of an upgrade adds to it: the pictures of the node that the attempt waits for.
//
//	[AGENT_TEST_OTP=27] go test -run '^$' -bench . -benchtime 20x ./bench/report
//
// The node is a bare one with so many processes that wait. One time around is what an upgrade in service has: a picture with the witness
// that is put there, one when a module has been replaced and its old code is still there, and the last one; then the witness is taken away.
package report

import (
	"context"
	"fmt"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/agent/proof"
	"theseus/integration/emulator"
)

// replace loads a module over itself, so that there is old code; purge takes that away.
const (
	replace = `{ok, _, Code} = compile:forms([{attribute, 1, module, replaced}]), {module, _} = code:load_binary(replaced, "here", Code), {module, _} = code:load_binary(replaced, "here", Code), ok.`
	purge   = `code:purge(replaced), ok.`
)

func BenchmarkReport(b *testing.B) {
	for _, processes := range []int{0, 10_000, 50_000} {
		b.Run(fmt.Sprintf("processes=%d", processes), func(b *testing.B) {
			node := emulator.Boot(b, "-boot", "start_sasl", "+P", "1000000")
			node.Value(b, fmt.Sprintf(`[spawn(fun() -> receive never -> ok end end) || _ <- lists:seq(1, %d)], ok.`, processes))
			life := proof.Life{
				PID: node.PID, Since: time.Now(), Version: "1.0.0",
				Connect: func(context.Context) (proof.Node, error) { return node.Node, nil },
			}
			spent := map[string]time.Duration{}
			for range b.N {
				once(b, node, life, spent)
			}
			b.ReportMetric(0, "ns/op")
			for moment, all := range spent {
				b.ReportMetric(all.Seconds()*1000/float64(b.N), "ms-"+moment)
			}
		})
	}
}

// once is one upgrade's worth of pictures, and adds up how long each took.
func once(b *testing.B, node *emulator.Node, life proof.Life, spent map[string]time.Duration) {
	b.Helper()
	r := proof.NewRecord(api.Event{Upgrade: "u", Kind: "install.begun", Time: time.Now()})
	timed := func(moment string, act func()) {
		begun := time.Now()
		act()
		took := time.Since(begun)
		spent[moment] += took
		spent["all"] += took
	}
	look := func(moment string) { timed(moment, func() { r.Look(b.Context(), moment, life) }) }
	look("before")
	node.Value(b, replace)
	look("installed")
	node.Value(b, purge)
	look("end")
	timed("close", func() { r.Close(b.Context()) })
	if pictures := r.Report().Pictures; pictures[2].Processes == nil || *pictures[2].Processes < 1 {
		b.Fatalf("the node was not seen: %+v", pictures)
	}
}
