package notify

import (
	"strings"
	"testing"

	"theseus/agent/api"
)

// happenings are the words of the stories below, and what the journal records for each.
var happenings = map[string]api.Event{
	"launched":  {Kind: "node.launched"},
	"started":   {Kind: started},
	"late":      {Kind: "node.late"},
	"ended":     {Kind: ended},
	"checked":   {Kind: "node.checked", Upgrade: "1"},
	"begun":     {Kind: begun, Upgrade: "1"},
	"installed": {Kind: "node.installed", Upgrade: "1"},
	"failed":    {Kind: "upgrade.failed", Upgrade: "1", Error: &api.Error{}},
	"result":    {Kind: "upgrade.committed", Upgrade: "1", Result: &api.Result{}},
}

func TestWhatTheServiceManagerHears(t *testing.T) {
	for about, story := range map[string]struct{ events, want string }{
		"a boot":                          {"launched started", "READY"},
		"a boot that is late":             {"launched late started", "READY"},
		"a boot that fails":               {"launched ended", ""},
		"an operation settled at start":   {"result launched started", "READY"},
		"a stop":                          {"launched started stop ended", "READY STOPPING"},
		"a stop that is asked for twice":  {"launched started stop stop ended", "READY STOPPING"},
		"a stop while it boots":           {"launched stop started ended", "STOPPING"},
		"an upgrade":                      {"started begun installed result", "READY RELOADING READY"},
		"an upgrade that is refused":      {"started checked result", "READY"},
		"one that is reverted in service": {"started begun installed failed result", "READY RELOADING READY"},
		"one that costs a restart":        {"started begun failed ended launched started result", "READY RELOADING READY"},
		"one whose node is still down":    {"started begun ended result launched started", "READY RELOADING READY"},
		"one that is broken":              {"started begun ended result", "READY RELOADING"},
		"one that is cut off by a stop":   {"started begun stop failed result ended", "READY RELOADING STOPPING"},
		"an upgrade after an upgrade":     {"started begun result begun result", "READY RELOADING READY RELOADING READY"},
		"a crash and a restart":           {"started ended launched started", "READY"},
		"an upgrade after a restart":      {"started ended launched started begun result", "READY RELOADING READY"},
	} {
		var p phase
		var told []string
		for word := range strings.FieldsSeq(story.events) {
			e, there := happenings[word]
			m := ""
			switch {
			case word == "stop":
				m = p.stop()
			case !there:
				t.Fatalf("what is %q", word)
			default:
				m = p.follow(e)
			}
			if word, _, is := strings.Cut(m, "="); is {
				told = append(told, word)
			}
		}
		if got := strings.Join(told, " "); got != story.want {
			t.Errorf("%s (%s): it hears %q, not %q", about, story.events, got, story.want)
		}
	}
}
