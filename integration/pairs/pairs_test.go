package pairs

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"theseus/integration/need"
	"theseus/integration/ship"
)

// sampled are how many pairs a run without AGENT_TEST_PAIRS looks at.
const sampled = 3

// TestEveryToolSaysOfEachPairWhatItShould runs the real agent on the OTP of this machine. AGENT_TEST_PAIRS=all is for all pairs, and a regular
// expression for those whose names it matches.
func TestEveryToolSaysOfEachPairWhatItShould(t *testing.T) {
	need.Tool(t, "escript")
	pairs := chosen(t)
	dir := t.TempDir()
	if err := Build(dir, pairs...); err != nil {
		t.Fatal(err)
	}
	agent := buildAgent(t)
	var mu sync.Mutex
	score := Score{}
	t.Run("pairs", func(t *testing.T) {
		for _, p := range pairs {
			t.Run(p.Name, func(t *testing.T) {
				t.Parallel()
				judged := p.judge(t, look(t, agent, dir, p))
				mu.Lock()
				defer mu.Unlock()
				score[p.Name] = judged
			})
		}
	})
	var table strings.Builder
	score.Table(&table, pairs, tools...)
	fmt.Fprintln(&table, "\nwith a derived relup in the place of their own")
	Relups(&table, pairs)
	t.Logf("\n%s", table.String())
}

// judge fails the test where a tool does not say what it should.
func (p Pair) judge(t *testing.T, said map[Tool]Said) map[Tool]Judgement {
	t.Helper()
	judged := map[Tool]Judgement{}
	for _, tool := range tools {
		j := p.Judge(tool, said[tool])
		judged[tool] = j
		if !j.Good() {
			t.Errorf("%s of %s: %s: it says %q, not %q\n%s", tool, p.Name, j, said[tool].Words, p.Says[tool], said[tool].Text)
		}
	}
	return judged
}

// chosen are the pairs to look at: all, some by their names, or a few that the seed decides, one of them clean.
func chosen(t *testing.T) []Pair {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	switch names := os.Getenv("AGENT_TEST_PAIRS"); names {
	case "all":
		return all
	case "":
		t.Setenv("AGENT_TEST_SEED", seed())
		clean := slices.DeleteFunc(slices.Clone(all), func(p Pair) bool { return !p.Clean() })
		wrong := slices.DeleteFunc(all, Pair.Clean)
		return append(ship.Drawn(t.Name(), 1, clean), ship.Drawn(t.Name(), sampled-1, wrong)...)
	default:
		matches := regexp.MustCompile(names)
		return slices.DeleteFunc(all, func(p Pair) bool { return !matches.MatchString(p.Name) })
	}
}

func seed() string {
	if given := os.Getenv("AGENT_TEST_SEED"); given != "" {
		return given
	}
	return "1"
}
