package upgrade

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// edges reads the drawing at the top of state.go: the line of names is the way forward, and below it two
// lines say from where it ends in aborted or reverted.
func TestTableIsTheDrawing(t *testing.T) {
	source, err := os.ReadFile("state.go")
	if err != nil {
		t.Fatal(err)
	}
	var way []string
	for line := range strings.SplitSeq(string(source), "\n") {
		if rest, ok := strings.CutPrefix(line, "//\trequested → "); ok {
			way = append([]string{"requested"}, strings.Split(rest, " → ")...)
		}
	}
	want := map[State][]State{}
	for i, name := range way[:len(way)-1] {
		s := State(name)
		want[s] = append(want[s], State(way[i+1]))
		if i <= slices.Index(way, "installing") {
			want[s] = append(want[s], Aborted)
		}
		if i >= slices.Index(way, "installing") {
			want[s] = append(want[s], Reverted)
		}
	}
	want[Requested] = []State{Received, Planned, Aborted} // a rollback has no package
	want[Verified] = []State{Planned, Unpacked, Aborted}  // what is only to be unpacked needs no plan
	if diff := cmp.Diff(want, transitions); diff != "" {
		t.Errorf("the table differs from the drawing (-drawing +table):\n%s", diff)
	}
}

func TestNothingFollowsAnEnd(t *testing.T) {
	for _, s := range []State{Committed, Aborted, Reverted} {
		if !s.final() {
			t.Errorf("%s leads to %v", s, transitions[s])
		}
	}
	if _, err := Committed.next(Received); err == nil {
		t.Error("a committed upgrade began again")
	}
}
