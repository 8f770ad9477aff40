package upgrade

import (
	"strings"
	"testing"
	"testing/synctest"
)

// ofMix is a demo as mix makes it, with a protocol that is consolidated.
func ofMix(version, before string) files {
	dir := "releases/" + version + "/"
	return demo(version, before).with(dir+"env.sh", "#\n").with(dir+"remote.vm.args", "#\n").with(dir+"consolidated/Elixir.Enumerable.beam", version)
}

// consolidations are upgrades of a release of mix.
var consolidations = []story{
	{"", "probation: committed, 1.1.0 runs"},
	{"consolidate:error", "installing: reverted internal, 1.0.0 runs"},
	{"consolidate:lost", "probation: committed, 1.1.0 runs"},
	{"consolidate:lost+again", "installing: reverted internal, 1.0.0 runs"},
	{"consolidate:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"installed.drift:some", "probation: reverted drift, 1.0.0 runs"},
}

func TestProtocolsFollowAnInstallationOrItIsTakenBack(t *testing.T) {
	for _, story := range consolidations {
		t.Run(strings.ReplaceAll(story.script, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, story.script, ofMix("1.0.0", ""))
				s.upgrade(ofMix("1.1.0", "1.0.0"))
				s.ends(story.want)
			})
		})
	}
}
