package proof

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"theseus/agent/api"
)

// table is a part of a report for people, as a terminal and a page show it. Its cells are text of anybody's making.
type table struct {
	title string
	head  []string
	rows  [][]string
	note  string // what the numbers mean
}

// unknown stands where nothing could be seen.
const unknown = "?"

// tables are all parts that there is something in, but the steps.
func tables(r api.Report) []table {
	var list []table
	for _, t := range []table{decided(r), lostTable(r), pictures(r), seenTable(r), suspended(r), instructions(r), oldCode(r), reports(r)} {
		if len(t.rows) > 0 {
			list = append(list, t)
		}
	}
	return list
}

// headline says how it ended.
func headline(r api.Report) string {
	if r.Result == nil {
		return fmt.Sprintf("%s %s is not over, or the agent ended in its middle", cmp.Or(r.Kind, "upgrade"), r.ID)
	}
	return fmt.Sprintf("%s %s: %s from %s to %s, in %s", r.Kind, r.Result.Outcome, r.Result.Name, cmp.Or(r.Result.From, unknown), cmp.Or(r.Result.To, unknown), short(r.Result.Duration))
}

func decided(r api.Report) table {
	t := table{title: "decided"}
	for _, key := range []string{"verdict", "path", "instructions", "suspended", "way_back"} {
		if value, there := r.Plan[key]; there && value != nil {
			t.rows = append(t.rows, []string{strings.ReplaceAll(key, "_", " "), plainly(value)})
		}
	}
	if r.Result == nil {
		return t
	}
	for _, w := range r.Result.Warnings {
		t.rows = append(t.rows, []string{"warning", w})
	}
	if e := r.Result.Error; e != nil {
		t.rows = append(t.rows, []string{"error", e.Message})
		if e.State != "" {
			t.rows = append(t.rows, []string{"in the end", e.State})
		}
	}
	return t
}

func plainly(value any) string {
	list, is := value.([]any)
	if !is {
		return fmt.Sprint(value)
	}
	words := make([]string, 0, len(list))
	for _, v := range list {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

func lostTable(r api.Report) table {
	t := table{title: "lost with the node"}
	if r.Lost != nil {
		t.rows = [][]string{
			{"uptime", short(r.Lost.Up)},
			{"connections", number(r.Lost.Connections)},
			{"processes, with all that they knew", number(r.Lost.Processes)},
		}
	}
	return t
}

func pictures(r api.Report) table {
	t := table{title: "the node", head: []string{""}, note: "Connections are the established TCP connections of the node's process, that of the agent excepted; closed and opened compare them with the column before, whichever side it was."}
	if len(r.Pictures) == 0 {
		return t
	}
	for _, p := range r.Pictures {
		t.head = append(t.head, p.Moment)
	}
	row := func(name string, cell func(api.Picture) string) {
		cells := []string{name}
		for _, p := range r.Pictures {
			cells = append(cells, cell(p))
		}
		t.rows = append(t.rows, cells)
	}
	row("at", func(p api.Picture) string { return "+" + short(p.Time.Sub(r.Began)) })
	row("version", func(p api.Picture) string { return cmp.Or(p.Version, "none runs") })
	row("pid", func(p api.Picture) string { return fmt.Sprint(p.PID) })
	row("up", func(p api.Picture) string { return short(p.Up) })
	row("connections", func(p api.Picture) string { return number(p.Connections) })
	row("closed", func(p api.Picture) string { return number(p.Closed) })
	row("opened", func(p api.Picture) string { return number(p.Opened) })
	row("processes", func(p api.Picture) string { return number(p.Processes) })
	row("ports", func(p api.Picture) string { return number(p.Ports) })
	row("memory", func(p api.Picture) string { return megabytes(p.Memory) })
	row("resident", func(p api.Picture) string { return megabytes(p.RSS) })
	row("agent resident", func(p api.Picture) string { return megabytes(p.AgentRSS) })
	return t
}

func seenTable(r api.Report) table {
	t := table{title: "seen meanwhile"}
	if s := r.Seen; s != nil {
		t.rows = [][]string{
			{"crash reports", fmt.Sprint(s.Crashes)},
			{"supervisor reports", fmt.Sprint(s.Supervisors)},
			{"children that ended", fmt.Sprint(s.Restarts)},
			{"processes killed by a purge", fmt.Sprint(s.Purged)},
		}
	}
	return t
}

func suspended(r api.Report) table {
	t := table{title: "suspended", head: []string{"module", "at most"}, note: "No process of the module was suspended for longer: it is the time from the beginning of the instruction that suspends all of them to the end of the one that resumes them."}
	if r.Seen != nil {
		for _, s := range r.Seen.Suspended {
			t.rows = append(t.rows, []string{s.Module, short(s.Most)})
		}
	}
	return t
}

func instructions(r api.Report) table {
	t := table{title: "relup", head: []string{"instruction", "took"}}
	if r.Seen != nil {
		for _, in := range r.Seen.Instructions {
			t.rows = append(t.rows, []string{in.Text, short(in.Took)})
		}
	}
	return t
}

func oldCode(r api.Report) table {
	t := table{title: "processes in old code", head: []string{"when", "module", "processes"}}
	for _, p := range r.Pictures {
		for _, o := range p.OldCode {
			t.rows = append(t.rows, []string{p.Moment, o.Module, fmt.Sprint(o.Processes)})
		}
		if p.Unread > 0 {
			t.rows = append(t.rows, []string{p.Moment, fmt.Sprintf("%d more modules", p.Unread), unknown})
		}
	}
	return t
}

func reports(r api.Report) table {
	t := table{title: "what was reported first"}
	if r.Seen != nil {
		for _, text := range r.Seen.Reports {
			t.rows = append(t.rows, []string{text})
		}
	}
	return t
}

func number(n *int64) string {
	if n == nil {
		return unknown
	}
	return fmt.Sprint(*n)
}

func megabytes(n *int64) string {
	if n == nil {
		return unknown
	}
	return fmt.Sprintf("%.1f MB", float64(*n)/1e6)
}

// short is a duration of three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
