package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"theseus/agent/plan"
	"theseus/agent/printable"
)

// tellPlan prints a plan for people: what it comes to first, then why, then what would be done.
func tellPlan(out io.Writer, p plan.Plan) {
	fmt.Fprintf(out, "%s %s to %s: %s\n", p.Name, p.From, cmp.Or(p.To, "what the package holds"), verdictText(p))
	tellFindings(out, "reasons", p.Reasons)
	tellFindings(out, "warnings", p.Warnings)
	for _, table := range []struct {
		title string
		rows  [][]string
	}{
		{"applications", applicationRows(p)},
		{"modules", moduleRows(p)},
		{"processes", processRows(p)},
		{"settings", settingRows(p)},
		{"instructions", stepRows(p)},
	} {
		tellTable(out, table.title, table.rows)
	}
	if p.Disk.Needed > 0 {
		fmt.Fprintf(out, "\ndisk: needs %s, %s are free\n", size(float64(p.Disk.Needed)), size(float64(p.Disk.Free)))
	}
	for _, text := range p.Unknown {
		fmt.Fprintf(out, "\nunknown: %s\n", printable.Text(text))
	}
}

func verdictText(p plan.Plan) string {
	switch {
	case p.Verdict == plan.Refuse:
		return "would be refused"
	case p.Verdict == plan.Restart && p.Way.Made:
		return "needs a restart; or agent upgrade --derived, with the relup below"
	case p.Verdict == plan.Restart:
		return "needs a restart"
	}
	text := "in service"
	if len(p.Way.Path) > 2 {
		text += ", over " + strings.Join(p.Way.Path[1:len(p.Way.Path)-1], ", ")
	}
	if p.Way.Made {
		text += ", by a relup that is made for it"
	}
	if p.Way.Back == string(plan.Hot) {
		return text + ", and back in service"
	}
	return text + "; back by a restart"
}

func tellFindings(out io.Writer, title string, list []plan.Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	for _, f := range list {
		fmt.Fprintf(out, "  %s: %s\n", f.Code, printable.Text(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(out, "    hint: %s\n", printable.Text(f.Hint))
		}
	}
}

func tellTable(out io.Writer, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, row := range rows {
		for i := range row {
			row[i] = printable.Text(row[i])
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(row, "\t"))
	}
}

func applicationRows(p plan.Plan) (rows [][]string) {
	for _, a := range p.Applications {
		rows = append(rows, []string{a.Name, a.Change, cmp.Or(a.From, "-"), cmp.Or(a.To, "-")})
	}
	return rows
}

func moduleRows(p plan.Plan) (rows [][]string) {
	for _, m := range p.Modules {
		kind := strings.Join(m.Kinds, ", ")
		if m.NIF {
			kind = strings.TrimPrefix(kind+", native code", ", ")
		}
		rows = append(rows, []string{m.Application, m.Name, m.Change, cmp.Or(kind, "-"), cmp.Or(strings.Join(m.Means, ", "), "-")})
	}
	return rows
}

func processRows(p plan.Plan) (rows [][]string) {
	for _, a := range p.Processes {
		count, names := "?", strings.Join(a.Names, ", ")
		if a.Count >= 0 {
			count = fmt.Sprint(a.Count)
		}
		if more := a.Count - len(a.Names); more > 0 && len(a.Names) > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		rows = append(rows, []string{count, a.Module, a.Effect, names})
	}
	return rows
}

func settingRows(p plan.Plan) (rows [][]string) {
	for _, s := range p.Config {
		rows = append(rows, []string{s.Application, s.Key, s.Change})
	}
	for _, text := range p.Cold {
		rows = append(rows, []string{text, "at the next start"})
	}
	return rows
}

func stepRows(p plan.Plan) (rows [][]string) {
	for n, s := range p.Steps {
		rows = append(rows, []string{fmt.Sprintf("%3d", n+1), s.Text})
	}
	return rows
}
