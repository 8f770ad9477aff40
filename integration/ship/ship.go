// Package ship is the demo service in real containers, made from Dockerfile.example, and what an operator does with
// it: the common ground of the integration tests. Its OTP versions are those that AGENT_TEST_OTPS names.
package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
)

// Patience is how long a test waits for a fact, on a machine that is ten times slower than it should be.
const Patience = 5 * time.Minute

// Grace is what a container has to stop before Docker kills it: enough on any machine.
const Grace = 2 * time.Minute

// Unhurried is the agent's environment where a story does not say otherwise: how fast the machine is decides nothing.
var Unhurried = []string{"-e", "AGENT_SETTLE=100ms", "-e", "AGENT_STOP_TIMEOUT=1m", "-e", "AGENT_BOOT_TIMEOUT=5m"}

// built is what each OTP version needs, built once for all tests.
var built = struct {
	sync.Mutex
	sets map[string]*images.Set
}{sets: map[string]*images.Set{}}

// OnEachOTP runs a story on every OTP that was asked for, beside other stories. With a seed, AGENT_TEST_SEED, it runs on
// one of them, which story and seed decide.
func OnEachOTP(t *testing.T, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	OnEachOTPBut(t, "", story)
}

// OnEachOTPBut is OnEachOTP for a story that cannot be told of one of them.
func OnEachOTPBut(t *testing.T, not string, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	t.Parallel()
	otps := slices.DeleteFunc(asked(), func(otp string) bool { return otp == not })
	if len(otps) == 0 {
		t.Skipf("needs another OTP than %s", not)
	}
	on(t, Drawn(t.Name(), 1, otps), func(t *testing.T, set *images.Set) {
		t.Parallel()
		story(t, set)
	})
}

// OnOTP is for a story that can be told on one OTP alone.
func OnOTP(t *testing.T, otp string, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	t.Parallel()
	if !slices.Contains(asked(), otp) {
		t.Skipf("needs OTP %s", otp)
	}
	on(t, []string{otp}, story)
}

// AloneOnEachOTP is for a story that needs the machine for itself, and is never left out.
func AloneOnEachOTP(t *testing.T, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	on(t, asked(), story)
}

// Alone is OnEachOTP for a story that needs the machine for itself.
func Alone(t *testing.T, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	on(t, Drawn(t.Name(), 1, asked()), story)
}

// asked are the OTP versions that AGENT_TEST_OTPS names.
func asked() []string {
	if otps := strings.Fields(os.Getenv("AGENT_TEST_OTPS")); len(otps) > 0 {
		return otps
	}
	return []string{"27"}
}

// Drawn are n of them where there is a seed, which with the story decides; else all.
func Drawn[T any](story string, n int, all []T) []T {
	seed := os.Getenv("AGENT_TEST_SEED")
	if seed == "" || n >= len(all) {
		return all
	}
	lot := fnv.New32a()
	_, _ = io.WriteString(lot, seed+story)
	first := int(lot.Sum32() % uint32(len(all)))
	return append(slices.Clone(all), all...)[first : first+n]
}

func on(t *testing.T, otps []string, story func(t *testing.T, set *images.Set)) {
	t.Helper()
	docker.Require(t)
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
	session := Open(t)
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

// Open begins a session that ends with the test.
func Open(t *testing.T) *docker.Session {
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

// Ship is a running demo service, and what an operator does with it.
type Ship struct {
	T       *testing.T
	Session *docker.Session
	Set     *images.Set
	Volume  string   // that is mounted as the release root
	Options []string // of docker run
	*docker.Container
}

// Launch starts the demo service on a new volume, and waits until it serves the seed.
func Launch(t *testing.T, set *images.Set, options ...string) *Ship {
	t.Helper()
	s := Build(t, set, options...)
	s.Replace(set.Image)
	s.Serves(images.Seed)
	return s
}

// Build is a ship with a new volume and no container yet: Replace runs one.
func Build(t *testing.T, set *images.Set, options ...string) *Ship {
	t.Helper()
	session := Open(t)
	volume, err := session.Volume(t.Context(), "release")
	if err != nil {
		t.Fatal(err)
	}
	return &Ship{T: t, Session: session, Set: set, Volume: volume, Options: options}
}

// Replace runs a container of an image on the ship's volume; one that is there is removed first.
func (s *Ship) Replace(image string) {
	s.T.Helper()
	if s.Container != nil {
		s.Must(s.Remove(s.T.Context()))
	}
	options := slices.Concat([]string{"-v", s.Volume + ":/var/lib/release"}, Unhurried, s.Options)
	c, err := s.Session.Start(s.T.Context(), docker.Spec{Image: image, Name: "ship", Options: options})
	s.Must(err)
	s.Container = c
}

// Must fails the story on an error, with what the container printed.
func (s *Ship) Must(err error) {
	s.T.Helper()
	if err == nil {
		return
	}
	if s.Container != nil {
		s.T.Logf("the container printed:\n%s", s.Logs(context.Background()))
	}
	s.T.Fatal(err)
}

// Serves waits until the service itself answers with this version, and the agent agrees.
func (s *Ship) Serves(version string) {
	s.T.Helper()
	ip, err := s.IP(s.T.Context())
	s.Must(err)
	s.Must(s.Await(s.T.Context(), "version "+version+" serving", Patience, func(ctx context.Context) error {
		got, err := Get(ctx, "http://"+ip+":8080/version")
		if err == nil && got != version {
			err = fmt.Errorf("version %q serves", got)
		}
		if err == nil {
			err = s.Healthy(ctx)
		}
		return err
	}))
	if got := s.Status().Release.Version; got != version {
		s.T.Errorf("the service runs %s, agent status says %s", version, got)
	}
}

// Healthy asks agent health.
func (s *Ship) Healthy(ctx context.Context) error {
	status, err := s.Exec(ctx, docker.Exec{Args: []string{"agent", "health"}})
	if err == nil && status != 0 {
		err = errors.New("agent health fails")
	}
	return err
}

// Answer is how one command of the agent ended.
type Answer struct {
	Status         int
	Stdout, Stderr string
}

// Agent runs a verb in the container.
func (s *Ship) Agent(stdin io.Reader, args ...string) Answer {
	s.T.Helper()
	var stdout, stderr bytes.Buffer
	status, err := s.Exec(s.T.Context(), docker.Exec{Args: append([]string{"agent"}, args...), Stdin: stdin, Stdout: &stdout, Stderr: &stderr})
	s.Must(err)
	return Answer{status, stdout.String(), stderr.String()}
}

// Upgrade sends a package through standard input.
func (s *Ship) Upgrade(pkg []byte, flags ...string) Answer {
	s.T.Helper()
	return s.Agent(bytes.NewReader(pkg), append([]string{"upgrade", "-"}, flags...)...)
}

// Ends fails the story unless a command ended with this status.
func (s *Ship) Ends(a Answer, status int) Answer {
	s.T.Helper()
	if a.Status != status {
		s.T.Fatalf("exit status %d, want %d\nstdout: %s\nstderr: %s\ncontainer: %s", a.Status, status, a.Stdout, a.Stderr, s.Logs(context.Background()))
	}
	return a
}

// Status is what agent status says.
func (s *Ship) Status() api.Status {
	s.T.Helper()
	return Decode[api.Status](s, s.Ends(s.Agent(nil, "status", "--json"), 0))
}

// History is all that agent history tells.
func (s *Ship) History() []api.Event {
	s.T.Helper()
	return Decode[[]api.Event](s, s.Ends(s.Agent(nil, "history", "-n", "0", "--json"), 0))
}

// RPC is what a function in the node returned.
func (s *Ship) RPC(args ...string) string {
	s.T.Helper()
	return strings.TrimSpace(s.Ends(s.Agent(nil, append([]string{"rpc"}, args...)...), 0).Stdout)
}

// Package is the bytes of the demo service's package of a version.
func (s *Ship) Package(version string) []byte {
	s.T.Helper()
	content, err := os.ReadFile(s.Set.Package(version))
	s.Must(err)
	return content
}

// Decode reads the JSON that a command printed.
func Decode[T any](s *Ship, a Answer) T {
	s.T.Helper()
	var v T
	if err := json.Unmarshal([]byte(a.Stdout), &v); err != nil {
		s.T.Fatalf("no JSON: %v\n%s", err, a.Stdout)
	}
	return v
}

// Get is the body of a page. It leaves no connection to the service behind.
func Get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body)), err
}
