package proof

import (
	"fmt"
	"html"
	"io"
	"strings"
	"time"

	"theseus/agent/api"
)

// page is HTML of which only the tags are ours: whatever else goes into it is escaped on its way. html/template would do
// as much, and be a fifth of the agent.
type page struct{ strings.Builder }

// open and text are the only ways in.
func (p *page) open(tag markup) { p.WriteString(string(tag)) }

func (p *page) text(text string) { p.WriteString(html.EscapeString(strings.ToValidUTF8(text, "�"))) }

func (p *page) element(name markup, text string) {
	p.open("<" + name + ">")
	p.text(text)
	p.open("</" + name + ">\n")
}

// markup is written in this file, and nowhere else.
type markup string

const style markup = `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.3em; margin-bottom: 0; } h2 { font-size: 1.05em; margin: 2em 0 .5em; }
p { color: #555; margin: .3em 0; max-width: 50em; }
table { border-collapse: collapse; } .steps { width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .2em 1.2em .2em 0; border-bottom: 1px solid #e4e4e4; overflow-wrap: anywhere; }
td:first-child { overflow-wrap: break-word; }
.steps th:nth-child(1) { width: 12em; } .steps th:nth-child(2) { width: 16em; } .steps th:nth-child(3) { width: 5em; }
svg { display: block; width: 100%; height: 1.2em; background: #f3f3f3; }
rect { fill: #2f6f9f; } .beside rect { fill: #b35c1e; } .beside td { color: #8a4512; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #161616; } p { color: #aaa; } th, td { border-color: #333; } svg { background: #262626; }
  rect { fill: #6fb0dd; } .beside rect { fill: #e29a62; } .beside td { color: #e2b08a; }
}
</style>
`

// Page writes a report as one page of HTML that needs nothing else, no script either.
func Page(w io.Writer, r api.Report) error {
	p := &page{}
	p.open(style)
	p.element("title", headline(r))
	p.open("</head><body>\n")
	p.element("h1", headline(r))
	p.element("p", r.ID+", begun "+r.Began.UTC().Format(time.DateTime)+" UTC")
	p.timeline(r)
	for _, t := range tables(r) {
		p.table(t)
	}
	p.open("</body></html>\n")
	_, err := io.WriteString(w, p.String())
	return err
}

// timeline has a bar for each step, from the end of the one before to its own.
func (p *page) timeline(r api.Report) {
	if len(r.Steps) == 0 {
		return
	}
	all := max(time.Millisecond, r.Steps[len(r.Steps)-1].Time.Sub(r.Began))
	p.element("h2", "steps")
	p.open(`<table class="steps"><thead><tr><th>step</th><th>from the beginning to the end</th><th>took</th><th>what</th></tr></thead><tbody>` + "\n")
	for _, s := range r.Steps {
		took, row := short(s.Took), markup("<tr>")
		if s.Beside {
			took, row = "", `<tr class="beside">`
		}
		p.open(row)
		p.element("td", s.Kind)
		p.bar(s.Time.Sub(r.Began)-s.Took, s.Took, all)
		p.element("td", took)
		p.element("td", s.Message)
		p.open("</tr>\n")
	}
	p.open("</tbody></table>\n")
}

// bar is at least as wide as can be seen. Its numbers are ours.
func (p *page) bar(from, took, all time.Duration) {
	share := func(d time.Duration) float64 { return 100 * min(1, max(0, float64(d)/float64(all))) }
	left := min(share(from), 99)
	width := max(1, min(share(took), 100-left))
	fmt.Fprintf(p, `<td><svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-hidden="true"><rect x="%.2f" y="0" width="%.2f" height="10"/></svg></td>`+"\n", left, width)
}

func (p *page) table(t table) {
	p.element("h2", t.title)
	p.open("<table>\n")
	if t.head != nil {
		p.row("th", t.head)
	}
	for _, row := range t.rows {
		p.row("td", row)
	}
	p.open("</table>\n")
	if t.note != "" {
		p.element("p", t.note)
	}
}

func (p *page) row(cell markup, cells []string) {
	p.open("<tr>")
	for _, text := range cells {
		p.element(cell, text)
	}
	p.open("</tr>\n")
}
