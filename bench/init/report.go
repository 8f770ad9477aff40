package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report prints Markdown tables that are aligned for the eye, too: what was measured, and the budgets.
func report(subjects []*subject, node *samples, out io.Writer) error {
	none, tini, agent := subjects[0], subjects[1], subjects[len(subjects)-1]
	if none.err != nil {
		return none.err
	}
	row, flush := table(out)
	row("init", "start ms", "over none", "signal µs", "over none", "p99", "orphans/s", "µs CPU each", "RSS MiB", "of it anon", "wake-ups/s")
	row("---", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:", "---:")
	for _, s := range subjects {
		if s.err != nil {
			row(s.name, s.err, "", "", "", "", "", "", "", "", "")
			continue
		}
		start, signal := median(s.start), median(s.signal)
		cells := []any{
			s.name, fmt.Sprintf("%.2f", start), fmt.Sprintf("%+.2f", start-median(none.start)), fmt.Sprintf("%.0f", signal),
			fmt.Sprintf("%+.0f", signal-median(none.signal)), fmt.Sprintf("%.0f", quantile(s.signal, 0.99)),
		}
		if s == none { // the rest would be the command's own
			row(append(cells, "–", "–", "–", "–", "–")...)
			continue
		}
		cells = append(cells, fmt.Sprintf("%.0f", median(s.rate)), fmt.Sprintf("%.1f", median(s.reaping)))
		row(append(cells, s.idle()...)...)
	}
	if node != nil {
		row(append([]any{"agent with a node", "–", "–", "–", "–", "–", "–", "–"}, node.idle()...)...)
	}
	if err := flush(); err != nil || agent.err != nil {
		return err
	}
	fmt.Fprintln(out)
	return budgets(verdicts(none, tini, agent, node), out)
}

func (s *samples) idle() []any {
	return []any{fmt.Sprintf("%.1f", median(s.rss)), fmt.Sprintf("%.1f", median(s.anon)), fmt.Sprintf("%.2f", median(s.wakeups))}
}

// verdict is a number and what it may be at most.
type verdict struct {
	about           string
	measured, limit float64
	unit            string
}

func verdicts(none, tini, agent *subject, node *samples) []verdict {
	list := []verdict{
		{"start over none", median(agent.start) - median(none.start), 8, " ms"},
		{"signal over none", median(agent.signal) - median(none.signal), 150, " µs"},
		{"memory", median(agent.rss), 16, " MiB"},
		{"of it anonymous", median(agent.anon), 6, " MiB"},
		{"wake-ups when idle", median(agent.wakeups), 1, "/s"},
	}
	if tini.err == nil {
		list = append(list, verdict{"CPU time for an orphan / tini", median(agent.reaping) / median(tini.reaping), 5, ""})
	}
	if node != nil {
		list = append(list,
			verdict{"memory beside a node", median(node.rss), 16, " MiB"},
			verdict{"of it anonymous", median(node.anon), 6, " MiB"},
			verdict{"wake-ups beside an idle node", median(node.wakeups), 1, "/s"},
			verdict{"CPU beside an idle node", node.busy, 0.1, " %"})
	}
	return list
}

func budgets(list []verdict, out io.Writer) error {
	row, flush := table(out)
	row("agent", "measured", "budget", "")
	row("---", "---:", "---:", "---")
	for _, v := range list {
		word := "met"
		if v.measured > v.limit {
			word = "**missed**"
		}
		row(v.about, fmt.Sprintf("%.2f%s", v.measured, v.unit), fmt.Sprintf("≤ %g%s", v.limit, v.unit), word)
	}
	return flush()
}

func table(out io.Writer) (row func(cells ...any), flush func() error) {
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.Debug)
	return func(cells ...any) {
		for _, cell := range cells {
			fmt.Fprintf(t, "\t %v", cell)
		}
		fmt.Fprintln(t, "\t")
	}, t.Flush
}
