package rehearse

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
)

func TestOnlyWhatEachUpgradeTellsOfIsAStepToKillAt(t *testing.T) {
	s := &stage{}
	for _, kind := range []string{
		"upgrade.planned", api.KindProgress, "gate.passed", "node.checked", "node.drifted", "upgrade.warned", "install.begun", "gate.failed", "node.checked",
	} {
		s.noteStep(api.Event{Kind: kind})
	}
	if want := []string{"upgrade.planned", "node.checked", "install.begun"}; !slices.Equal(s.steps, want) {
		t.Errorf("the steps are %v, want %v", s.steps, want)
	}
}

func TestAStepThatDidNotComeIsNoted(t *testing.T) {
	var late, last Act
	late.noteLate(victims[0], "node.checked")
	last.noteLate(victims[0], committed)
	want := []string{"the agent did not tell of node.checked this time: the node was killed after the upgrade, and not at this step"}
	if diff := cmp.Diff([][]string{want, nil}, [][]string{late.Notes, last.Notes}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
