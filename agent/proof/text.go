package proof

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"theseus/agent/api"
	"theseus/agent/printable"
)

// Text writes a report for a terminal.
func Text(w io.Writer, r api.Report) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s\n%s\n\nsteps\n", printable.Text(r.ID), printable.Text(headline(r)))
	for _, s := range r.Steps {
		took := short(s.Took)
		if s.Beside {
			took = "beside"
		}
		fmt.Fprintf(out, "  +%s\t%s\t%s\t%s\n", short(s.Time.Sub(r.Began)), took, printable.Text(s.Kind), printable.Text(s.Message))
	}
	for _, t := range tables(r) {
		fmt.Fprintf(out, "\n%s\n", t.title)
		if t.head != nil {
			t.rows = append([][]string{t.head}, t.rows...)
		}
		for _, row := range t.rows {
			cells := make([]string, 0, len(row))
			for _, cell := range row {
				cells = append(cells, printable.Text(cell))
			}
			fmt.Fprintf(out, "  %s\n", strings.Join(cells, "\t"))
		}
	}
	return out.Flush()
}
