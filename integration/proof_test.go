package integration_test

import (
	"encoding/json"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/ship"
)

// reported is the report of the last upgrade.
func reported(s *ship.Ship) api.Report {
	s.T.Helper()
	return ship.Decode[api.Report](s, s.Ends(s.Agent(nil, "history", "show", "--json"), 0))
}

// TestWhatAnUpgradeHasLostIsInItsReport: a code_change that crashes ends a node with all that was connected to it, and the clients
// count the same. Then an upgrade that goes well, which has lost nothing.
func TestWhatAnUpgradeHasLostIsInItsReport(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, docker.Hardened()...)
		ip, err := s.IP(t.Context())
		s.Must(err)
		where := load.Config{HTTP: ip + ":8080", TCP: ip + ":7000", Sessions: 300}
		clients, err := load.Start(t.Context(), where)
		s.Must(err)
		crashes := rewritten(s, "demo_session", func(source string) string {
			return strings.Replace(source, "{ok, #state{socket = Socket, id = Id, count = Count}}", "error({ill, Socket, Id, Count})", 1)
		})
		answer := s.Ends(s.Upgrade(crashes), 4)
		s.Has(answer.Stderr, "code_change", "demo 1.0.0 runs again")
		s.Serves(images.Seed)
		told := clients.Stop()
		report := reported(s)
		connections := int64(told.HTTP.Opened + told.Sessions.Opened)
		if l := report.Lost; l == nil || l.Connections == nil || *l.Connections != connections || l.Processes == nil || *l.Processes < connections || l.Up <= 0 {
			t.Errorf("lost are %s, and the clients had %d connections", said(l), connections)
		}
		if kept := told.HTTP.Kept + told.Sessions.Kept; kept > 0 {
			t.Errorf("%d clients kept their connection to a node that ended", kept)
		}
		if report.Result == nil || report.Result.Outcome != api.Reverted || !report.Result.Restart {
			t.Errorf("it ended with %s", said(report.Result))
		}
		if failed := step(report, "upgrade.failed"); !strings.Contains(failed.Message, "code_change") {
			t.Errorf("it failed with %q", failed.Message)
		}

		clients, err = load.Start(t.Context(), where)
		s.Must(err)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Serves(images.Second)
		told = clients.Stop()
		report = reported(s)
		if !told.Lossless() || report.Lost != nil {
			t.Errorf("lost are %s, and by the clients %+v", said(report.Lost), told)
		}
		for _, p := range report.Pictures[1:] {
			if p.Closed == nil || *p.Closed != 0 {
				t.Errorf("%s: %v connections were closed, and none was", p.Moment, p.Closed)
			}
		}
		if seen := report.Seen; seen == nil || seen.Crashes+seen.Supervisors+seen.Restarts+seen.Purged > 0 || len(seen.Suspended) == 0 || len(seen.Instructions) == 0 {
			t.Errorf("seen was %s", said(seen))
		}
	})
}

// step is the one of a kind.
func step(r api.Report, kind string) api.Step {
	for _, s := range r.Steps {
		if s.Kind == kind {
			return s
		}
	}
	return api.Step{}
}

func said(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}
