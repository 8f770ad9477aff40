package rehearse

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is the report in one line.
func (r Report) Verdict() string {
	return fmt.Sprintf("%s: %s, %d acts in %s", r.title(), r.verdict(), len(r.Acts), round(r.Duration))
}

func (r Report) verdict() string {
	switch n := r.Findings(); {
	case r.Error != "":
		return "not rehearsed to the end"
	case n == 0:
		return "passed"
	default:
		return fmt.Sprintf("failed, findings: %d", n)
	}
}

// Text tells of an act on several lines.
func (a Act) Text() string {
	out := new(strings.Builder)
	fmt.Fprintf(out, "%-8s %-40s %s\n", a.Outcome, a.Name, round(a.Duration))
	if a.Why != "" {
		indented(out, "", a.Why)
	}
	for _, f := range a.Findings {
		indented(out, f.Kind+": ", f.Text)
	}
	for _, n := range a.Notes {
		indented(out, "note: ", n)
	}
	if logged := a.Reports.String(); logged != "" {
		indented(out, "logged: ", logged)
		for _, first := range a.Reports.First {
			indented(out, "  ", first)
		}
	}
	return out.String()
}

func indented(out io.Writer, what, text string) {
	fmt.Fprintf(out, "         %s%s\n", what, strings.ReplaceAll(text, "\n", "\n           "))
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
