package integration_test

import (
	"path"
	"testing"

	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// bare is a package without the relup and the appups that its makers wrote.
func bare(s *ship.Ship, version string) []byte {
	s.T.Helper()
	pkg, err := repack.Bytes(s.Package(version), func(name string, content []byte) (string, []byte) {
		if path.Base(name) == "relup" || path.Ext(name) == ".appup" {
			return "", nil
		}
		return name, content
	})
	s.Must(err)
	return pkg
}

func TestAPackageWithoutARelupGetsOneWhereThatIsAskedFor(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		ip, err := s.IP(t.Context())
		s.Must(err)
		clients, err := load.Start(t.Context(), load.Config{HTTP: ip + ":8080", TCP: ip + ":7000"})
		s.Must(err)
		second, third := bare(s, images.Second), bare(s, images.Third)
		s.Has(s.Ends(s.Upgrade(second), 5).Stderr, "no relup leads there", "agent upgrade --derived")
		s.Serves(images.Seed)
		s.Has(s.Ends(s.Upgrade(second, "--derived"), 0).Stderr, "what demo must do was derived from the modules")
		s.Serves(images.Second)
		s.Has(s.Ends(s.Agent(nil, "rollback"), 5).Stderr, "agent rollback --restart")
		s.Has(s.Ends(s.Upgrade(third, "--derived"), 0).Stderr, "what demo, demo_codec must do was derived from the modules")
		s.Serves(images.Third)
		if report := clients.Stop(); !report.Lossless() {
			t.Errorf("the clients lost something: %+v", report)
		}
		s.Must(s.Restart(t.Context(), ship.Grace))
		s.Serves(images.Third)
	})
}
