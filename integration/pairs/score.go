package pairs

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Said is what a tool says of a pair: first how it ends where it has an end, then the kinds of what it has found.
type Said struct {
	Words []string
	Text  string // all of it
}

// Judgement is how a tool did on a pair.
type Judgement struct {
	Missed []string // words that it should have said
	Extra  []string // words that it should not have said
	Named  int      // kinds that it should find, and did
	Sight  bool     // there is something to find for it
	Vague  bool     // what it says is not about what is wrong
}

// Good says that it is all as it should be.
func (j Judgement) Good() bool { return len(j.Missed)+len(j.Extra) == 0 && !j.Vague }

// String is for a cell of the table.
func (j Judgement) String() string {
	var parts []string
	if len(j.Missed) > 0 {
		parts = append(parts, "missed "+strings.Join(j.Missed, " "))
	}
	if len(j.Extra) > 0 {
		parts = append(parts, "false "+strings.Join(j.Extra, " "))
	}
	switch {
	case j.Vague:
		parts = append(parts, "vague")
	case len(parts) > 0:
	case j.Sight:
		return "found"
	default:
		return "–"
	}
	return strings.Join(parts, ", ")
}

// Judge compares what a tool says of the pair with what it has to.
func (p Pair) Judge(tool Tool, said Said) Judgement {
	want := p.Says[tool]
	j := Judgement{Missed: without(want, said.Words), Extra: without(said.Words, want)}
	kinds := want
	if tool != Drift { // they begin with how it ends
		kinds = want[min(1, len(want)):]
	}
	j.Sight, j.Named = len(kinds) > 0, len(kinds)-len(without(kinds, said.Words))
	j.Vague = names[tool] && j.Named > 0 && p.About != "" && !strings.Contains(said.Text, p.About)
	return j
}

// names are the tools that are there to name what is wrong.
var names = map[Tool]bool{Plan: true, Drift: true, Rehearse: true}

func without(words, others []string) (left []string) {
	for _, w := range words {
		if !slices.Contains(others, w) {
			left = append(left, w)
		}
	}
	return left
}

// Score has the judgements of a corpus.
type Score map[string]map[Tool]Judgement

// Table is one line for each pair, and below it how each tool did.
func (s Score) Table(out io.Writer, pairs []Pair, tools ...Tool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprint(w, "PAIR")
	for _, tool := range tools {
		fmt.Fprint(w, "\t"+strings.ToUpper(string(tool)))
	}
	for _, p := range pairs {
		fmt.Fprint(w, "\n"+p.Name)
		for _, tool := range tools {
			fmt.Fprint(w, "\t"+s[p.Name][tool].String())
		}
	}
	fmt.Fprintln(w)
	for _, tool := range tools {
		fmt.Fprintf(w, "%s\t%s\n", tool, s.sum(tool, pairs))
	}
}

// tally is how one tool did.
type tally struct {
	named, missed, extra int // kinds
	mistakes, seen       int // pairs, and those in its sight
	found, clean, quiet  int // pairs of which all was named; clean ones, and those of them of which nothing was said
}

// Relups sorts the pairs by what becomes of them with a derived relup: there is no drift, it is refused, or the rehearsal finds something.
func Relups(out io.Writer, pairs []Pair) {
	var groups [3][]string
	for _, p := range pairs {
		switch words := strings.Join(p.Says[Derived], " "); {
		case words == "passed":
			groups[0] = append(groups[0], p.Name)
		case strings.Contains(words, "upgrade-refused/"):
			_, code, _ := strings.Cut(words, "upgrade-refused/")
			groups[1] = append(groups[1], p.Name+" ("+code+")")
		default:
			groups[2] = append(groups[2], p.Name+" ("+strings.TrimPrefix(words, "failed ")+")")
		}
	}
	for i, what := range []string{"upgraded, no drift", "refused", "found by the rehearsal"} {
		fmt.Fprintf(out, "%s: %d\n  %s\n", what, len(groups[i]), strings.Join(groups[i], ", "))
	}
}

func (s Score) sum(tool Tool, pairs []Pair) (t tally) {
	for _, p := range pairs {
		j := s[p.Name][tool]
		t.named, t.missed, t.extra = t.named+j.Named, t.missed+len(j.Missed), t.extra+len(j.Extra)
		switch {
		case p.Clean():
			t.clean++
			t.quiet += count(j.Good())
			continue
		case j.Sight:
			t.seen++
			t.found += count(j.Good())
		}
		t.mistakes++
	}
	return t
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func (t tally) String() string {
	return fmt.Sprintf("precision %s, recall %s: of %d mistakes it can see %d, and names %d; of %d clean pairs it leaves %d alone",
		ratio(t.named, t.extra), ratio(t.named, t.missed), t.mistakes, t.seen, t.found, t.clean, t.quiet)
}

func ratio(good, bad int) string {
	if good+bad == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(good)/float64(good+bad))
}
