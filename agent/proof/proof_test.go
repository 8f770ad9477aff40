package proof

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// event is one of an upgrade, so many seconds after noon; of an upgrade without a name it is one beside.
func event(second int, upgrade, kind string) api.Event {
	return api.Event{Time: noon.Add(time.Duration(second) * time.Second), Upgrade: upgrade, Kind: kind, Message: kind}
}

func ended(e api.Event, outcome api.Outcome, restart bool) api.Event {
	e.Result = &api.Result{ID: e.Upgrade, Outcome: outcome, Restart: restart, Duration: e.Time.Sub(noon)}
	return e
}

// steps are a report's in one line.
func steps(r *api.Report) string {
	var words []string
	for _, s := range r.Steps {
		word := fmt.Sprintf("%s %v", s.Kind, s.Took)
		if s.Beside {
			word = s.Kind
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestWhatTheHistoryHasOfAnUpgradeIsAReport(t *testing.T) {
	history := []api.Event{
		event(0, "", "node.started"),
		ended(event(0, "before", "upgrade.refused"), api.Refused, false),
		event(1, "this", "package.received"),
		event(3, "this", "install.begun"),
		ended(event(6, "this", "upgrade.probation"), api.Probation, false),
		event(7, "", "node.hung"),
		ended(event(9, "this", "upgrade.reverted"), api.Reverted, true),
		event(10, "", "node.ended"),
		ended(event(20, "after", "upgrade.refused"), api.Refused, false),
	}
	r := Fold("this", history, nil)
	if got, want := steps(r), "package.received 1s, install.begun 2s, upgrade.probation 3s, node.hung, upgrade.reverted 3s"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.Kind != "upgrade" || !r.Began.Equal(noon) || r.Result.Outcome != api.Reverted {
		t.Errorf("it is %+v", r)
	}
	if r := Fold("another", history, nil); r != nil {
		t.Errorf("of another there is %+v", r)
	}
}

// TestAnAgentThatDiedInTheMiddleStillProvesWhatWasLost: what it kept when the installation began, and what the next one says.
func TestAnAgentThatDiedInTheMiddleStillProvesWhatWasLost(t *testing.T) {
	connections := int64(1000)
	kept := &api.Report{ID: "this", Pictures: []api.Picture{{Moment: "before", PID: 7, Up: time.Hour, Connections: &connections}}}
	r := Fold("this", []api.Event{
		event(1, "this", "install.begun"), event(5, "", "volume.taken_over"), ended(event(6, "this", "upgrade.reverted"), api.Reverted, true),
	}, kept)
	if r.Lost == nil || r.Lost.Up != time.Hour || *r.Lost.Connections != 1000 || steps(r) != "install.begun 1s, volume.taken_over, upgrade.reverted 5s" {
		t.Errorf("lost is %+v, after %s", r.Lost, steps(r))
	}
	if r := Fold("this", nil, kept); r != kept {
		t.Errorf("without a history it is %+v", r)
	}
}

func TestOnlyTheNodeThatEndedIsLost(t *testing.T) {
	for about, c := range map[string]struct {
		pids []int
		want time.Duration
	}{
		"it ran on":        {[]int{7, 7, 7}, 0},
		"another followed": {[]int{7, 7, 8, 8}, 2},
		"two followed":     {[]int{7, 8, 9}, 1},
		"none followed":    {[]int{7, 0}, 1},
	} {
		r := api.Report{Result: &api.Result{}}
		for i, pid := range c.pids {
			r.Pictures = append(r.Pictures, api.Picture{PID: pid, Up: time.Duration(i + 1)})
		}
		l := lost(r)
		if got := (l != nil); got != (c.want != 0) || got && l.Up != c.want {
			t.Errorf("%s: %+v", about, l)
		}
	}
}

func TestAReportHasAnEnd(t *testing.T) {
	r := NewRecord(event(0, "this", "package.received"))
	for n := range 1000 {
		r.Add(event(n, "", "node.ended"))
	}
	r.Add(ended(event(2000, "this", "upgrade.reverted"), api.Reverted, true))
	all := r.Report().Steps
	if len(all) != mostSteps+1 || all[mostSteps].Kind != "upgrade.reverted" {
		t.Errorf("it has %d steps, the last is %s", len(all), all[len(all)-1].Kind)
	}
}

func TestAModuleIsSuspendedUntilItsLastResume(t *testing.T) {
	all := []instruction{
		{Kind: "suspend", Modules: []string{"a", "b"}, At: 100},
		{Kind: "suspend", Modules: []string{"b"}, At: 200},
		{Kind: "resume", Modules: []string{"a"}, At: 300},
		{Kind: "other", At: 350},
		{Kind: "resume", Modules: []string{"b"}, At: 500},
		{Kind: "done", At: 600},
		{Kind: "suspend", Modules: []string{"a"}, At: 1000},
		{Kind: "resume", Modules: []string{"a"}, At: 1100},
		{Kind: "done", At: 1150},
		{Kind: "suspend", Modules: []string{"c"}, At: 2000},
	}
	if got := fmt.Sprint(suspensions(all)); got != "[{b 500µs} {a 250µs}]" {
		t.Errorf("suspended are %s", got)
	}
	list, call := timed(all)
	if len(list) != 7 || call != 650*time.Microsecond {
		t.Errorf("%d instructions took %v", len(list), call)
	}
}
