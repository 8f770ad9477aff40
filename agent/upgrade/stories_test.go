package upgrade

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
)

// upgrades are from 1.0.0 to 1.1.0, each with what world says that goes wrong in it.
var upgrades = []story{
	{"", "probation: committed, 1.1.0 runs"},
	{"running:error", "requested: refused node-down, 1.0.0 runs"},
	{"stop:requested", "requested: aborted stopping, 1.0.0 runs"},
	{"stop:received", "received: aborted stopping, 1.0.0 runs"},
	{"stop:verified", "verified: aborted stopping, 1.0.0 runs"},
	{"stop:planned", "planned: aborted stopping, 1.0.0 runs"},
	{"stop:unpacked", "unpacked: aborted stopping, 1.0.0 runs"},
	{"stop:checked", "checked: aborted stopping, 1.0.0 runs"},
	{"stop:installing", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"stop:probation", "probation: interrupted stopping, 1.1.0 runs, left installing"},
	{"connect:error", "probation: committed, 1.1.0 runs"},
	{"connect:error+again", "unpacked: aborted internal, 1.0.0 runs"},
	{"drift:some", "unpacked: refused code-drift, 1.0.0 runs"},
	{"busy:one", "unpacked: refused busy-processes, 1.0.0 runs"},
	{"drift:else", "probation: committed, 1.1.0 runs, warned"},
	{"drift:set", "probation: committed, 1.1.0 runs, warned"},
	{"drift:raised", "unpacked: aborted internal, 1.0.0 runs"},
	{"apps:ended", "probation: committed, 1.1.0 runs, warned"},
	{"drift:error", "unpacked: aborted internal, 1.0.0 runs"},
	{"drift:lost", "probation: committed, 1.1.0 runs"},
	{"drift:lost+done", "probation: committed, 1.1.0 runs"},
	{"drift:lost+again", "unpacked: aborted internal, 1.0.0 runs"},
	{"drift:end", "unpacked: aborted node-ended, nothing runs"},
	{"drift:done+end", "unpacked: aborted node-ended, nothing runs"},
	{"drift:hang", "unpacked: aborted internal, 1.0.0 runs"},
	{"drift:stop", "unpacked: aborted stopping, 1.0.0 runs"},
	{"busy:error", "unpacked: aborted internal, 1.0.0 runs"},
	{"busy:lost", "probation: committed, 1.1.0 runs"},
	{"busy:lost+done", "probation: committed, 1.1.0 runs"},
	{"busy:lost+again", "unpacked: aborted internal, 1.0.0 runs"},
	{"busy:end", "unpacked: aborted node-ended, nothing runs"},
	{"busy:done+end", "unpacked: aborted node-ended, nothing runs"},
	{"busy:hang", "unpacked: aborted internal, 1.0.0 runs"},
	{"busy:stop", "unpacked: aborted stopping, 1.0.0 runs"},
	{"which:error", "unpacked: aborted internal, 1.0.0 runs"},
	{"which:lost", "probation: committed, 1.1.0 runs"},
	{"which:lost+done", "probation: committed, 1.1.0 runs"},
	{"which:lost+again", "unpacked: aborted internal, 1.0.0 runs"},
	{"which:end", "unpacked: aborted node-ended, nothing runs"},
	{"which:done+end", "unpacked: aborted node-ended, nothing runs"},
	{"which:hang", "unpacked: aborted internal, 1.0.0 runs"},
	{"which:stop", "unpacked: aborted stopping, 1.0.0 runs"},
	{"set_unpacked:error", "unpacked: refused no-such-file, 1.0.0 runs"},
	{"set_unpacked:lost", "unpacked: aborted internal, 1.0.0 runs"},
	{"set_unpacked:lost+done", "unpacked: aborted internal, 1.0.0 runs"},
	{"set_unpacked:end", "unpacked: aborted node-ended, nothing runs"},
	{"set_unpacked:done+end", "unpacked: aborted node-ended, nothing runs"},
	{"set_unpacked:hang", "unpacked: aborted internal, 1.0.0 runs"},
	{"set_unpacked:stop", "unpacked: aborted stopping, 1.0.0 runs"},
	{"check_install:error", "unpacked: refused old-processes, 1.0.0 runs"},
	{"check_install:lost", "probation: committed, 1.1.0 runs"},
	{"check_install:lost+done", "probation: committed, 1.1.0 runs"},
	{"check_install:lost+again", "unpacked: aborted internal, 1.0.0 runs"},
	{"check_install:end", "unpacked: aborted node-ended, nothing runs"},
	{"check_install:done+end", "unpacked: aborted node-ended, nothing runs"},
	{"check_install:hang", "unpacked: aborted internal, 1.0.0 runs"},
	{"check_install:stop", "unpacked: aborted stopping, 1.0.0 runs"},
	{"check_install:error set_removed:error", "unpacked: refused old-processes, 1.0.0 runs, warned"},
	{"check_install:error set_removed:lost", "unpacked: refused old-processes, 1.0.0 runs, warned"},
	{"check_install:error set_removed:lost+done", "unpacked: refused old-processes, 1.0.0 runs, warned"},
	{"check_install:error set_removed:hang", "unpacked: refused old-processes, 1.0.0 runs, warned"},
	{"check_install:error set_removed:end", "unpacked: refused old-processes, nothing runs, warned"},
	{"install:error", "installing: refused code-change-failed, 1.0.0 runs"},
	{"install:error+end", "installing: reverted code-change-failed, 1.0.0 runs after a restart"},
	{"install:lost", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost+done", "probation: committed, 1.1.0 runs"},
	{"install:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"install:done+end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"install:hang", "installing: aborted internal, 1.0.0 runs"},
	{"install:stop", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"install:lost installed.connect:error", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost installed.connect:error+again", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost installed.status:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:error installed.status:stopping", "installing: refused code-change-failed, 1.0.0 runs"},
	{"install:error installed.status:end", "installing: reverted code-change-failed, 1.0.0 runs after a restart"},
	{"install:lost installed.which:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:lost installed.which:lost", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost installed.which:lost+again", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:lost installed.status:stop", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"install:lost+done installed.which:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:hang installed.which:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:end await:error", "installing: broken node-ended, nothing runs after a restart"},
	{"install:end await:hang", "installing: broken node-ended, nothing runs after a restart"},
	{"install:end await:stop", "installing: interrupted node-ended, nothing runs after a restart, left installing"},
	{"installed.connect:error", "probation: committed, 1.1.0 runs"},
	{"installed.connect:error+again", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:else", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:set", "probation: committed, 1.1.0 runs"},
	{"installed.drift:missing", "probation: reverted drift, 1.0.0 runs"},
	{"drift:missing installed.drift:missing", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:raised", "probation: committed, 1.1.0 runs, warned"},
	{"settled.drift:some", "probation: reverted drift, 1.0.0 runs"},
	{"installed.drift:error", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:lost", "probation: committed, 1.1.0 runs"},
	{"installed.drift:lost+again", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:lost+again installed.status:hang", "probation: reverted internal, 1.0.0 runs"},
	{"installed.drift:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.drift:done+end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.drift:hang", "probation: committed, 1.1.0 runs, warned"},
	{"installed.drift:hang installed.status:hang+again", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed.drift:hang installed.apps:ended", "probation: reverted internal, 1.0.0 runs"},
	{"installed.drift:stop", "probation: interrupted stopping, 1.1.0 runs, left installing"},
	{"installed.status:error", "probation: reverted internal, 1.0.0 runs"},
	{"installed.status:lost", "probation: committed, 1.1.0 runs"},
	{"installed.status:lost+again", "probation: reverted internal, 1.0.0 runs"},
	{"installed.status:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.status:done+end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.status:hang", "probation: reverted internal, 1.0.0 runs"},
	{"installed.status:hang+again", "probation: reverted internal, 1.0.0 runs after a restart, warned"},
	{"installed.status:stop", "probation: interrupted stopping, 1.1.0 runs, left installing"},
	{"installed.apps:error", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:lost", "probation: committed, 1.1.0 runs"},
	{"installed.apps:lost+again", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.apps:done+end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.apps:hang", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:stop", "probation: interrupted stopping, 1.1.0 runs, left installing"},
	{"installed.drift:some", "probation: reverted drift, 1.0.0 runs"},
	{"installed.status:stopping", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:old", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:ended", "probation: reverted internal, 1.0.0 runs"},
	{"settled.connect:error", "probation: committed, 1.1.0 runs"},
	{"settled.connect:error+again", "probation: committed, 1.1.0 runs, warned"},
	{"settled.status:error", "probation: reverted internal, 1.0.0 runs"},
	{"settled.status:stopping", "probation: reverted internal, 1.0.0 runs"},
	{"settled.status:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"settled.status:hang", "probation: reverted internal, 1.0.0 runs"},
	{"settled.apps:ended", "probation: reverted internal, 1.0.0 runs"},
	{"settled.apps:stop", "probation: interrupted stopping, 1.1.0 runs, left installing"},
	{"installed.drift:some back:error", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:error+end", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:lost", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:lost+done", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:end", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:done+end", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:hang", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some back:stop", "probation: interrupted drift, 1.1.0 runs, left installing"},
	{"installed.drift:some reverted.drift:some", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some reverted.status:end", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some reverted.apps:ended", "probation: reverted drift, 1.0.0 runs after a restart, warned"},
	{"installed.drift:some reverted.connect:error+again", "probation: reverted drift, 1.0.0 runs, warned"},
	{"installed.drift:some back:error restart:error", "probation: broken drift, nothing runs after a restart, warned"},
	{"installed.drift:some back:error restart:hang", "probation: broken drift, nothing runs after a restart, warned"},
	{"installed.drift:some back:end await:error", "probation: broken drift, nothing runs after a restart, warned"},
	{"installed.drift:some back:end await:hang", "probation: broken drift, nothing runs after a restart, warned"},
	{"make_permanent:error", "probation: committed, 1.1.0 runs, warned"},
	{"make_permanent:lost", "probation: committed, 1.1.0 runs, warned"},
	{"make_permanent:lost+done", "probation: committed, 1.1.0 runs, warned"},
	{"make_permanent:end", "probation: committed, nothing runs, warned"},
	{"make_permanent:done+end", "probation: committed, nothing runs, warned"},
	{"make_permanent:hang", "probation: committed, 1.1.0 runs, warned"},
	{"make_permanent:stop", "probation: committed, 1.1.0 runs, warned"},
	{"which:panic", "unpacked: aborted internal, 1.0.0 runs"},
	{"install:panic", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"installed.apps:panic", "probation: reverted internal, 1.0.0 runs"},
	{"installed.apps:panic back:panic", "probation: broken internal, 1.1.0 runs, left installing"},
	{"sealed:end", "probation: committed, 1.1.0 runs after a restart"},
	{"sealed:end restart:error", "probation: committed, nothing runs, warned"},
	{"make_permanent:panic", "probation: committed, 1.1.0 runs, warned, left committed"},
	{"full:check_install", "checked: aborted internal, 1.0.0 runs, warned, left planned"},
	{"full:protect", "checked: aborted internal, 1.0.0 runs, warned, left planned"},
	{"full:install", "probation: reverted internal, 1.0.0 runs, warned, left installing"},
	{"full:status", "probation: reverted internal, 1.0.0 runs, warned, left installing"},
	{"full:make_permanent", "probation: committed, 1.1.0 runs, warned, left committed"},
}

// rollbacks are from 1.1.0 to 1.0.0, in service.
var rollbacks = []story{
	{"", "probation: committed, 1.0.0 runs"},
	{"running:error", "requested: refused node-down, 1.1.0 runs"},
	{"stop:requested", "requested: aborted stopping, 1.1.0 runs"},
	{"stop:planned", "planned: aborted stopping, 1.1.0 runs"},
	{"check_install:error", "unpacked: refused old-processes, 1.1.0 runs"},
	{"check_install:hang", "unpacked: aborted internal, 1.1.0 runs"},
	{"which:end", "unpacked: aborted node-ended, nothing runs"},
	{"install:error+end", "installing: reverted code-change-failed, 1.1.0 runs after a restart"},
	{"install:lost", "installing: aborted internal, 1.1.0 runs"},
	{"install:lost+done", "probation: committed, 1.0.0 runs"},
	{"install:hang", "installing: aborted internal, 1.1.0 runs"},
	{"installed.apps:old", "probation: reverted internal, 1.1.0 runs"},
	{"settled.status:end", "probation: reverted node-ended, 1.1.0 runs after a restart"},
	{"make_permanent:lost", "probation: committed, 1.0.0 runs, warned"},
}

// restarts are rollbacks without a relup, which may restart the node.
var restarts = []story{
	{"", "probation: committed, 1.0.0 runs after a restart"},
	{"running:error", "probation: committed, 1.0.0 runs after a restart"},
	{"running:error restart:error", "installing: reverted internal, 1.1.0 runs after a restart"},
	{"stop:checked", "checked: aborted stopping, 1.1.0 runs"},
	{"stop:installing", "installing: interrupted stopping, 1.1.0 runs, left installing"},
	{"restart:error", "installing: reverted internal, 1.1.0 runs after a restart"},
	{"restart:hang", "installing: reverted internal, 1.1.0 runs after a restart"},
	{"restart:stop", "installing: interrupted stopping, nothing runs after a restart, left installing"},
	{"restarted.connect:error+again", "probation: committed, 1.0.0 runs after a restart, warned"},
	{"restarted.drift:some", "probation: reverted drift, 1.1.0 runs after a restart"},
	{"restarted.apps:ended", "probation: reverted internal, 1.1.0 runs after a restart"},
	{"restarted.status:end", "probation: reverted node-ended, 1.1.0 runs after a restart"},
	{"restarted.status:end await:error", "probation: broken node-ended, nothing runs after a restart"},
	{"make_permanent:error", "probation: committed, 1.0.0 runs after a restart, warned"},
}

// emulatorRestarts are upgrades whose relup restarts the emulator, which is allowed.
var emulatorRestarts = []story{
	{"", "probation: committed, 1.1.0 runs after a restart"},
	{"stop:installing", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"busy:one", "probation: committed, 1.1.0 runs after a restart, warned"}, // by a restart without the relup
	{"install:error", "installing: refused code-change-failed, 1.0.0 runs"},
	{"install:error+end", "installing: reverted code-change-failed, 1.0.0 runs after a restart"},
	{"install:lost", "installing: aborted internal, 1.0.0 runs"},
	{"install:lost+done", "probation: committed, 1.1.0 runs after a restart"},
	{"install:done+end", "probation: committed, 1.1.0 runs after a restart"},
	{"install:end", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"install:stop", "installing: interrupted stopping, 1.0.0 runs, left installing"},
	{"await:error", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"await:hang", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"await:stuck", "installing: reverted internal, 1.0.0 runs after a restart"},
	{"await:stuck restart:error", "installing: broken internal, nothing runs after a restart"},
	{"await:stop", "installing: interrupted stopping, nothing runs after a restart, left installing"},
	{"await:error restart:error", "installing: broken internal, nothing runs after a restart"},
	{"restarted.drift:some", "probation: reverted drift, 1.0.0 runs after a restart"},
	{"restarted.apps:ended", "probation: reverted internal, 1.0.0 runs after a restart"},
	{"restarted.status:end", "probation: reverted node-ended, 1.0.0 runs after a restart"},
	{"make_permanent:end", "probation: committed, nothing runs after a restart, warned"},
}

func playEmulatorRestart(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""))
	s.request.Restart = true
	s.upgrade(restarting(demo("1.1.0", "1.0.0")))
	return s
}

func restarting(pkg files) files {
	relup := "releases/1.1.0/relup"
	return pkg.with(relup, strings.ReplaceAll(pkg[relup], "{resume,[demo,demo_conn]}", "{resume,[demo,demo_conn]},restart_emulator"))
}

func TestARestartOfTheEmulatorNeedsLeave(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""))
	s.upgrade(restarting(demo("1.1.0", "1.0.0")))
	s.ends("verified: refused needs-restart, 1.0.0 runs")
	if hint := s.result().Error.Hint; !strings.Contains(hint, "agent upgrade --restart") {
		t.Errorf("the hint is %q", hint)
	}
}

func TestAnUpgradeWithoutARelupMayRestartTheNode(t *testing.T) {
	s := newStage(t, "", demo("1.0.0", ""))
	s.request.Restart = true
	s.engine.Settle = 0
	s.upgrade(demo("1.1.0", ""))
	s.ends("probation: committed, 1.1.0 runs after a restart")
}

// TestStoriesWalkEveryEdge tells them all, and fails when the table has an edge that none of them takes.
func TestStoriesWalkEveryEdge(t *testing.T) {
	walked := map[State][]State{}
	complete := true
	for _, c := range []struct {
		kind    string
		stories []story
		play    func(*testing.T, string) *stage
	}{{"upgrade", upgrades, playUpgrade}, {"rollback", rollbacks, playRollback}, {"restart", restarts, playRestart}, {"emulator", emulatorRestarts, playEmulatorRestart}, {"hops", hops, playHops}, {"unpack", unpackings, playUnpack}} {
		for _, story := range c.stories {
			told := false
			t.Run(c.kind+"/"+strings.ReplaceAll(story.script, " ", "_"), func(t *testing.T) {
				told = true
				synctest.Test(t, func(t *testing.T) {
					s := c.play(t, story.script)
					s.ends(story.want)
					for i, to := range s.path[1:] {
						walked[s.path[i]] = append(walked[s.path[i]], to)
					}
				})
			})
			complete = complete && told
		}
	}
	if edges := missing(walked); complete && len(edges) > 0 {
		t.Errorf("no story walks %s", strings.Join(edges, ", "))
	}
}

func playUpgrade(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""))
	s.upgrade(demo("1.1.0", "1.0.0"))
	return s
}

func playRollback(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""), demo("1.1.0", "1.0.0"))
	s.rollback(api.RollbackRequest{})
	return s
}

func playRestart(t *testing.T, script string) *stage {
	s := newStage(t, script, demo("1.0.0", ""), demo("1.1.0", ""))
	s.rollback(api.RollbackRequest{Restart: true})
	return s
}

// missing are the edges of the table that were not walked.
func missing(walked map[State][]State) []string {
	var edges []string
	for _, from := range slices.Sorted(maps.Keys(transitions)) {
		for _, to := range transitions[from] {
			if !slices.Contains(walked[from], to) {
				edges = append(edges, fmt.Sprintf("%s → %s", from, to))
			}
		}
	}
	return edges
}
