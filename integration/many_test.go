package integration_test

import (
	"os"
	"strconv"
	"testing"

	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/ship"
)

// TestManyUpgradesInARowLoseNothingAndLeaveNothing: every other one is a rollback. AGENT_TEST_UPGRADES says how many.
func TestManyUpgradesInARowLoseNothingAndLeaveNothing(t *testing.T) {
	many := 50
	if text := os.Getenv("AGENT_TEST_UPGRADES"); text != "" {
		var err error
		if many, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set, "-e", "AGENT_SETTLE=0s")
		ip, err := s.IP(t.Context())
		s.Must(err)
		config := load.Config{HTTP: ip + ":8080", TCP: ip + ":7000", HTTPClients: 20, Sessions: 100}
		clients, err := load.Start(t.Context(), config)
		s.Must(err)
		node := s.Status().Node
		var samples []ship.Sample
		for range many / 2 {
			s.Ends(s.Upgrade(s.Package(images.Second)), 0)
			s.Ends(s.Agent(nil, "rollback"), 0)
			samples = append(samples, s.Sample())
		}
		s.Serves(images.Seed)
		report := clients.Stop()
		if !report.Lossless() || report.Sessions.StateKept != config.Sessions || report.HTTP.StateKept != config.HTTPClients {
			t.Errorf("the clients lost something: %+v", report)
		}
		if now := s.Status().Node; now.PID != node.PID {
			t.Errorf("the node was restarted: pid %d, was %d", now.PID, node.PID)
		}
		ship.StaysFlat(t, samples)
		t.Logf("%d samples, the first %+v, the last %+v", len(samples), samples[0], samples[len(samples)-1])
	})
}
