// Package integration_test tells the stories of an operator: real containers, made from Dockerfile.example,
// with a real BEAM in them, on each OTP that AGENT_TEST_OTPS names.
package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
)

const patience = 90 * time.Second

// built is what each OTP version needs, built once for all tests.
var built = struct {
	sync.Mutex
	sets map[string]*images.Set
}{sets: map[string]*images.Set{}}

// onEachOTP runs a story on every OTP that was asked for, beside other stories.
func onEachOTP(t *testing.T, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	t.Parallel()
	aloneOnEachOTP(t, func(t *testing.T, set *images.Set) {
		t.Parallel()
		story(t, set)
	})
}

// aloneOnEachOTP is for a story that needs the machine for itself.
func aloneOnEachOTP(t *testing.T, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	docker.Require(t)
	otps := strings.Fields(os.Getenv("AGENT_TEST_OTPS"))
	if len(otps) == 0 {
		otps = []string{"27"}
	}
	for _, otp := range otps {
		t.Run("OTP"+otp, func(t *testing.T) { story(t, prepared(t, otp)) })
	}
}

func prepared(t *testing.T, otp string) *images.Set {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if set := built.sets[otp]; set != nil {
		return set
	}
	session := open(t)
	var progress bytes.Buffer
	set, err := images.Prepare(t.Context(), session, otp, &progress)
	if err != nil {
		t.Fatalf("cannot build the images: %v\n%s", err, progress.String())
	}
	built.sets[otp] = set
	return set
}

// stories counts the sessions, since each removes only what carries its own name.
var stories atomic.Int32

func open(t *testing.T) *docker.Session {
	t.Helper()
	session, err := docker.Open(t.Context(), fmt.Sprint("story", stories.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return session
}

// ship is a running demo service, and what an operator does with it.
type ship struct {
	t       *testing.T
	session *docker.Session
	set     *images.Set
	volume  string
	options []string
	*docker.Container
}

// launch starts the demo service on a new volume, and waits until it serves the seed.
func launch(t *testing.T, set *images.Set, options ...string) *ship {
	t.Helper()
	session := open(t)
	volume, err := session.Volume(t.Context(), "release")
	if err != nil {
		t.Fatal(err)
	}
	s := &ship{t: t, session: session, set: set, volume: volume, options: options}
	s.replace(set.Image)
	s.serves(images.Seed)
	return s
}

// replace runs a container of an image on the ship's volume; one that is there is removed first.
func (s *ship) replace(image string) {
	s.t.Helper()
	if s.Container != nil {
		s.must(s.Remove(s.t.Context()))
	}
	options := append([]string{"-v", s.volume + ":/var/lib/release", "-e", "AGENT_SETTLE=100ms"}, s.options...)
	c, err := s.session.Start(s.t.Context(), docker.Spec{Image: image, Name: "ship", Options: options})
	s.must(err)
	s.Container = c
}

func (s *ship) must(err error) {
	s.t.Helper()
	if err == nil {
		return
	}
	if s.Container != nil {
		s.t.Logf("the container printed:\n%s", s.Logs(context.Background()))
	}
	s.t.Fatal(err)
}

// serves waits until the service itself answers with this version, and the agent agrees.
func (s *ship) serves(version string) {
	s.t.Helper()
	ip, err := s.IP(s.t.Context())
	s.must(err)
	s.must(s.Await(s.t.Context(), "version "+version+" serving", patience, func(ctx context.Context) error {
		got, err := get(ctx, "http://"+ip+":8080/version")
		if err == nil && got != version {
			err = fmt.Errorf("version %q serves", got)
		}
		if err == nil {
			err = s.healthy(ctx)
		}
		return err
	}))
	if got := s.status().Release.Version; got != version {
		s.t.Errorf("the service runs %s, agent status says %s", version, got)
	}
}

func (s *ship) healthy(ctx context.Context) error {
	status, err := s.Exec(ctx, docker.Exec{Args: []string{"agent", "health"}})
	if err == nil && status != 0 {
		err = errors.New("agent health fails")
	}
	return err
}

// answer is how one command of the agent ended.
type answer struct {
	status         int
	stdout, stderr string
}

// agent runs a verb in the container.
func (s *ship) agent(stdin io.Reader, args ...string) answer {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	status, err := s.Exec(s.t.Context(), docker.Exec{Args: append([]string{"agent"}, args...), Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	s.must(err)
	return answer{status, stdout.String(), stderr.String()}
}

// upgrade sends a package through standard input.
func (s *ship) upgrade(pkg []byte, flags ...string) answer {
	s.t.Helper()
	return s.agent(bytes.NewReader(pkg), append([]string{"upgrade", "-"}, flags...)...)
}

// ends fails the story unless a command ended with this status.
func (s *ship) ends(a answer, status int) answer {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s\ncontainer: %s", a.status, status, a.stdout, a.stderr, s.Logs(context.Background()))
	}
	return a
}

func (s *ship) status() api.Status {
	s.t.Helper()
	return decode[api.Status](s, s.ends(s.agent(nil, "status", "--json"), 0))
}

func (s *ship) history() []api.Event {
	s.t.Helper()
	return decode[[]api.Event](s, s.ends(s.agent(nil, "history", "-n", "0", "--json"), 0))
}

func (s *ship) rpc(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.ends(s.agent(nil, append([]string{"rpc"}, args...)...), 0).stdout)
}

// package_ is the bytes of the demo service's package of a version.
func (s *ship) pkg(version string) []byte {
	s.t.Helper()
	content, err := os.ReadFile(s.set.Package(version))
	s.must(err)
	return content
}

func decode[T any](s *ship, a answer) T {
	s.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.stdout), &v); err != nil {
		s.t.Fatalf("no JSON: %v\n%s", err, a.stdout)
	}
	return v
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body)), err
}
