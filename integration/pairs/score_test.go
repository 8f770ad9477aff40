package pairs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAToolIsJudgedByWhatItSays(t *testing.T) {
	mistake := Pair{Name: "child-not-started", About: "till", Says: map[Tool][]string{Plan: {"hot", "child-not-started"}, Drift: {"child-missing"}}}
	clean := Pair{Name: "clean-library", Says: map[Tool][]string{Plan: {"hot"}}}
	for _, test := range []struct {
		pair  Pair
		tool  Tool
		words string
		text  string
		want  string
	}{
		{mistake, Plan, "hot child-not-started", "nothing starts till", "found"},
		{mistake, Plan, "hot child-not-started", "nothing starts it", "vague"},
		{mistake, Plan, "hot", "till", "missed child-not-started"},
		{mistake, Plan, "refuse child-not-started", "till", "missed hot, false refuse"},
		{mistake, Drift, "child-missing name-missing", "till", "false name-missing"},
		{mistake, Drift, "", "", "missed child-missing"},
		{mistake, Rollback, "", "", "–"},
		{clean, Plan, "hot", "", "–"},
		{clean, Plan, "hot purge-kills", "", "false purge-kills"},
	} {
		said := Said{strings.Fields(test.words), test.text}
		if got := test.pair.Judge(test.tool, said).String(); got != test.want {
			t.Errorf("%s of %s, %q: got %q, want %q", test.tool, test.pair.Name, test.words, got, test.want)
		}
	}
}

// TestEveryMistakeIsInSightOfATool: one that is in nobody's belongs into docs/plan.md, as what no tool sees.
func TestEveryMistakeIsInSightOfATool(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		seen := len(p.Says[Plan]) > 1 || len(p.Says[Drift]) > 0 || len(p.Says[Rehearse]) > 1
		if seen == p.Clean() {
			t.Errorf("%s: clean %t, and something is said of it %t", p.Name, p.Clean(), seen)
		}
	}
}

func TestThePrecisionAndTheRecallOfAToolAreThoseOfItsWords(t *testing.T) {
	pairs := []Pair{{Name: "a"}, {Name: "b"}, {Name: "clean-c"}, {Name: "clean-d"}}
	score := Score{
		"a":       {Plan: {Named: 3, Sight: true}},
		"b":       {Plan: {Missed: []string{"purge-kills"}, Sight: true}},
		"clean-c": {Plan: {Extra: []string{"purge-kills"}}},
		"clean-d": {Plan: {}},
	}
	want := "precision 0.75, recall 0.75: of 2 mistakes it can see 2, and names 1; of 2 clean pairs it leaves 1 alone"
	if diff := cmp.Diff(want, score.sum(Plan, pairs).String()); diff != "" {
		t.Error(diff)
	}
}
