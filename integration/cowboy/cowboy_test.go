// Package cowboy_test runs a service on cowboy and ranch, as Debian's rabbitmq-server has them, under the agent: what others
// have written and compiled, with the appup that they have written for it.
package cowboy_test

import (
	"os"
	"path/filepath"
	"testing"

	"theseus/integration/debian"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// alone is the OTP that runs what both of the two Debian releases have compiled.
const alone = "29"

func TestAServiceOnCowboyIsUpgradedUnderItsConnections(t *testing.T) {
	ship.OnOTP(t, alone, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		dir := debian.Packages(s, "cowboy")
		s.Options = []string{"-v", dir + ":/seed:ro", "-e", "AGENT_SEED=/seed/quay-1.0.0.tar.gz"}
		s.Replace(set.Image)
		s.Serves("1.0.0")
		node, before := s.Status().Node.PID, ranch(s)
		ip, err := s.IP(t.Context())
		s.Must(err)
		visitor, reader := visit(t, "http://"+ip+":8080/visits"), read(t, "http://"+ip+":8080/ticks")
		reader.awaits(s, "1.0.0")

		pkg, err := os.ReadFile(filepath.Join(dir, "quay-1.1.0.tar.gz"))
		s.Must(err)
		s.Ends(s.Upgrade(pkg), 0)
		s.Serves("1.1.0")
		reader.awaits(s, "1.1.0")
		if ranch(s) == before {
			t.Errorf("ranch is still %s", before)
		}
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Serves("1.0.0")
		reader.awaits(s, "1.0.0")
		if ranch(s) != before {
			t.Errorf("ranch is %s, not %s again", ranch(s), before)
		}
		visitor.ends(t)
		reader.ends(t)
		if now := s.Status().Node.PID; now != node {
			t.Errorf("the node was restarted")
		}
		s.Ends(s.Agent(nil, "rollback", "1.1.0"), 0)
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves("1.1.0")
	})
}

func ranch(s *ship.Ship) string { return s.RPC("application", "get_key", "[ranch,vsn]") }
