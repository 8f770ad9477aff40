package integration_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
	"theseus/integration/ship"
)

// oddName and oddVersion are what rebar3 takes for a release's name and version, and not only for a package's.
const oddName = "demo-web_1"

func oddVersion(version string) string {
	return map[string]string{images.Seed: "1.0.0+build-7_a", images.Second: "1.1.0-rc.1+b_8"}[version]
}

// renamed is a package of the demo service under that name and version, without a script in bin/. Its applications are
// what they were.
func renamed(s *ship.Ship, version string) []byte {
	s.T.Helper()
	short := func(text string) string { return "k\x00" + string(rune(len(text))) + text } // a string in the external term format
	words := strings.NewReplacer(
		`{release,{"demo","`+version+`"}`, `{release,{"`+oddName+`","`+oddVersion(version)+`"}`,
		short("demo")+short(version), short(oddName)+short(oddVersion(version)),
	)
	relup := strings.NewReplacer(`{"`+images.Second+`",`, `{"`+oddVersion(images.Second)+`",`, `{"`+images.Seed+`",`, `{"`+oddVersion(images.Seed)+`",`)
	pkg, err := repack.Bytes(s.Package(version), func(name string, content []byte) (string, []byte) {
		text := string(content)
		switch {
		case strings.HasPrefix(name, "bin/"):
			return "", nil
		case strings.HasSuffix(name, ".rel"), strings.HasSuffix(name, "/start.boot"):
			text = words.Replace(text)
		case strings.HasSuffix(name, "/relup"):
			text = relup.Replace(text)
		case !strings.HasPrefix(name, "releases/"):
			return name, content
		}
		name = strings.Replace(name, "releases/"+version+"/", "releases/"+oddVersion(version)+"/", 1)
		return strings.Replace(name, "/demo.rel", "/"+oddName+".rel", 1), []byte(text)
	})
	s.Must(err)
	return pkg
}

// runs waits until a release of any name and version runs well.
func runs(s *ship.Ship, version string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), version, ship.Patience, func(ctx context.Context) error {
		if err := s.Healthy(ctx); err != nil {
			return err
		}
		if got := s.Status(); got.Release.Name != oddName || got.Release.Version != version || got.Node.State != api.NodeRunning {
			return fmt.Errorf("the status is %+v", got)
		}
		return nil
	}))
}

func TestAReleaseMayHaveAnyNameAndVersionThatRebar3Takes(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set, docker.Hardened()...)
		first, second := oddVersion(images.Seed), oddVersion(images.Second)
		s.Replace(s.ImageOf("names", renamed(s, images.Seed)))
		runs(s, first)
		if got := s.RPC("init", "script_id"); got != `{"`+oddName+`","`+first+`"}` {
			t.Errorf("booted is %s", got)
		}
		s.Ends(s.Upgrade(renamed(s, images.Second)), 0)
		runs(s, second)
		s.Must(s.Restart(t.Context(), ship.Grace))
		runs(s, second)
		s.Ends(s.Agent(nil, "rollback", first), 0)
		runs(s, first)
		s.Ends(s.Agent(nil, "remove", second), 0)
		s.Must(s.Restart(t.Context(), ship.Grace))
		runs(s, first)
	})
}
