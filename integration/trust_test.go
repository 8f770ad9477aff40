package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/agent/trust/trusttest"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// keyRing is a directory with a public key, for a container to mount.
func keyRing(t *testing.T) (string, trusttest.Key) {
	t.Helper()
	dir := t.TempDir()
	key, err := trusttest.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, key
}

// lay puts a file to where the container sees it.
func lay(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyWhatIsSignedIsInstalled on a container that can write nothing but its volume; then it dies without a farewell.
func TestOnlyWhatIsSignedIsInstalled(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		keys, key := keyRing(t)
		s := ship.Launch(t, set, append(docker.Hardened(), "-v", keys+":/etc/agent/keys:ro", "-e", "AGENT_PUBLIC_KEYS=/etc/agent/keys")...)
		pkg := s.Package(images.Second)
		if a := s.Ends(s.Upgrade(pkg), 3); !strings.Contains(a.Stderr, "it has no signature, and needs one of key "+key.ID) {
			t.Errorf("unsigned: %s", a.Stderr)
		}
		_, stranger := keyRing(t)
		lay(t, keys, "stranger.minisig", stranger.Sign(pkg, "by a stranger"))
		if a := s.Ends(s.Upgrade(pkg, "--signature", "/etc/agent/keys/stranger.minisig"), 3); !strings.Contains(a.Stderr, "trusted is "+key.ID) {
			t.Errorf("of a stranger: %s", a.Stderr)
		}
		lay(t, keys, "ours.minisig", key.Sign(pkg, "demo of the story"))
		s.Ends(s.Upgrade(append(slices.Clone(pkg[:len(pkg)-1]), pkg[len(pkg)-1]^1), "--signature", "/etc/agent/keys/ours.minisig"), 3)
		s.Serves(images.Seed)
		lay(t, keys, "demo.tar.gz", string(pkg))
		good := s.Ends(s.Agent(nil, "verify", "/etc/agent/keys/demo.tar.gz", "--signature", "/etc/agent/keys/ours.minisig", "--volume", "/var/lib/release"), 0)
		if !strings.Contains(good.Stdout, "it fits to what is on /var/lib/release") || !strings.Contains(good.Stdout, "the image's, which has all that it needs") {
			t.Errorf("verified: %s", good.Stdout)
		}
		s.Ends(s.Upgrade(pkg, "--signature", "/etc/agent/keys/ours.minisig"), 0)
		s.Serves(images.Second)

		s.Must(s.Kill(t.Context(), "KILL"))
		_, err := s.Wait(t.Context())
		s.Must(err)
		s.Must(s.Start(t.Context()))
		s.Serves(images.Second)
		signed, taken := false, false
		for _, r := range ship.Decode[[]api.Release](s, s.Ends(s.Agent(nil, "releases", "--json"), 0)) {
			signed = signed || r.Version == images.Second && r.SignedBy == key.ID && r.Comment == "demo of the story"
		}
		for _, e := range s.History() {
			taken = taken || e.Kind == "volume.taken_over" && e.Attrs["host"] == s.ID[:12]
		}
		if !signed || !taken {
			t.Errorf("who signed it is known: %v; the owner that was killed is told: %v", signed, taken)
		}
		s.Ends(s.Agent(nil, "remove", images.Seed), 3)
	})
}

// TestAMountOfAnotherUserIsToldWithWhatMendsIt: a directory of the host that docker has made belongs to root.
func TestAMountOfAnotherUserIsToldWithWhatMendsIt(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		dir := filepath.Join(t.TempDir(), "release")
		session := ship.Open(t)
		c, err := session.Start(t.Context(), docker.Spec{Image: set.Image, Name: "foreign", Options: append(docker.Hardened(), "-v", dir+":/var/lib/release")})
		if err != nil {
			t.Fatal(err)
		}
		status, err := c.Wait(t.Context())
		logs := c.Logs(t.Context())
		want := "/var/lib/release belongs to uid 0 and has mode 0755, the agent runs as uid 1000: chown -R 1000:1000 /var/lib/release, which is " + dir
		if err != nil || status != 1 || !strings.Contains(logs, want) {
			t.Errorf("exit status %d, %v\ngot  %s\nwant %s", status, err, logs, want)
		}
	})
}
