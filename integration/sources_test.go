package integration_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/agent/source"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/need"
	"theseus/integration/registry"
	"theseus/integration/ship"
)

// TestAPackageComesFromARegistry that speaks TLS and asks who is there, to a container that can write nothing but its volume.
func TestAPackageComesFromARegistry(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		keys, key := keyRing(t)
		s := ship.Launch(t, set, append(docker.Hardened(), "-v", keys+":/etc/agent/keys:ro", "-e", "AGENT_PUBLIC_KEYS=/etc/agent/keys",
			"-e", "SSL_CERT_FILE=/etc/agent/keys/cert.pem", "-e", "DOCKER_CONFIG=/etc/agent/keys")...)
		host, err := s.Inspect(t.Context(), "{{.NetworkSettings.Gateway}}") // this machine
		s.Must(err)
		cert, private := registry.NewCertificate(t, keys, host)
		r := registry.Start(t, registry.Options{Address: host, Login: true, Cert: cert, Key: private})
		login := base64.StdEncoding.EncodeToString([]byte(registry.User + ":" + registry.Password))
		lay(t, keys, "config.json", `{"auths": {"`+r.Host+`": {"auth": "`+login+`"}}}`)
		client := registry.Trusting(t, cert)
		layer := func(version string) registry.Layer {
			return registry.Layer{Type: source.MediaType, Title: "demo-" + version + ".tar.gz", Content: s.Package(version)}
		}
		signature := registry.Layer{Type: source.SignatureType, Content: []byte(key.Sign(s.Package(images.Second), "demo of the story"))}
		r.Push(client, "demo", "unsigned", nil, "", layer(images.Second))
		r.Push(client, "demo", "forged", nil, "", layer(images.Third), signature)
		desc := r.Push(client, "demo", "latest", nil, "", layer(images.Second), signature)
		address := "oci://" + r.Host + "/demo"
		for tag, says := range map[string]string{"unsigned": "it has no signature", "forged": "it is not what key", "nowhere": "it answers 404"} {
			if a := s.Ends(s.Agent(nil, "upgrade", address+":"+tag), 3); !strings.Contains(a.Stderr, says) {
				t.Errorf("%s: %s", tag, a.Stderr)
			}
		}
		s.Serves(images.Seed)
		s.Ends(s.Agent(nil, "upgrade", address+":latest"), 0)
		s.Serves(images.Second)
		s.Ends(s.Agent(nil, "rollback"), 0)
		s.Ends(s.Agent(nil, "upgrade", address+"@"+desc.Digest.String()), 0)
		s.Serves(images.Second)
		if told := s.Logs(t.Context()) + fmt.Sprint(s.History()); strings.Contains(told, registry.Password) || !strings.Contains(told, address) {
			t.Errorf("where the package came from is not told, or who asked for it is:\n%s", told)
		}
	})
}

// TestADebUpgradesTheServiceThatRuns with the postinst of docs/postinst.
func TestADebUpgradesTheServiceThatRuns(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		need.Tool(t, "dpkg-deb")
		s := ship.Launch(t, set)
		good := deb(t, images.Second, s.Package(images.Second))
		installs(s, s.Container, good, 0, "install ok installed")
		s.Serves(images.Second)
		first := len(s.History())
		installs(s, s.Container, good, 0, "install ok installed") // once more is nothing to do
		if again := len(s.History()); again != first {
			t.Errorf("the history had %d events, and has %d", first, again)
		}
		third := s.Package(images.Third)
		if said := installs(s, s.Container, deb(t, images.Third, third[:len(third)/2]), 1, "install ok half-configured"); !strings.Contains(said, "demo 1.1.0 still runs, nothing was changed") {
			t.Errorf("dpkg says %s", said)
		}
		s.Serves(images.Second)
		installs(s, s.Container, deb(t, images.Third, third), 0, "install ok installed")
		s.Serves(images.Third)

		// In an image that is built nobody listens.
		built, err := s.Session.Start(t.Context(), docker.Spec{Image: set.Image, Name: "built", Command: []string{"infinity"}, Options: []string{"--entrypoint", "sleep"}})
		s.Must(err)
		if said := installs(s, built, good, 0, "install ok installed"); !strings.Contains(said, "demo 1.1.0: no agent runs here, nothing is upgraded") {
			t.Errorf("dpkg says %s", said)
		}
	})
}

// installs a .deb as root, and looks at what dpkg thinks of it then.
func installs(s *ship.Ship, c *docker.Container, deb []byte, status int, state string) string {
	s.T.Helper()
	var said bytes.Buffer
	got, err := c.Exec(s.T.Context(), docker.Exec{
		Options: []string{"-u", "0"}, Args: []string{"sh", "-c", "cat > /tmp/demo.deb && dpkg -i /tmp/demo.deb"}, Stdin: bytes.NewReader(deb), Stdout: &said, Stderr: &said,
	})
	s.Must(err)
	is, err := c.Output(s.T.Context(), "dpkg-query", "-W", "-f", "${Status}", "demo-release")
	s.Must(err)
	if got != status || is != state {
		s.T.Errorf("dpkg ends with %d and the package is %q, want %d and %q:\n%s", got, is, status, state, said.String())
	}
	return said.String()
}

// deb makes the Debian package of a release, with the script of the manual.
func deb(t *testing.T, version string, pkg []byte) []byte {
	t.Helper()
	script, err := os.ReadFile("../docs/postinst")
	if err != nil || !bytes.Contains(script, []byte("\nVERSION=1.1.0\n")) {
		t.Fatalf("the script of the manual names no version: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	for path, file := range map[string]struct {
		content []byte
		mode    os.FileMode
	}{
		"DEBIAN/control":  {[]byte("Package: demo-release\nVersion: " + version + "\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: demo\n"), 0o644},
		"DEBIAN/postinst": {bytes.Replace(script, []byte("\nVERSION=1.1.0\n"), []byte("\nVERSION="+version+"\n"), 1), 0o755},
		"usr/share/demo/demo-" + version + ".tar.gz": {pkg, 0o644},
	} {
		path = filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, file.content, file.mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if said, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", "--root-owner-group", dir).CombinedOutput(); err != nil {
		t.Fatalf("cannot make the .deb: %v\n%s", err, said)
	}
	content, err := os.ReadFile(dir + ".deb")
	if err != nil {
		t.Fatal(err)
	}
	return content
}
