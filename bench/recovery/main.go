// Command recovery measures how long a container that was killed takes until its node boots again.
//
//	go run ./bench/recovery [-otp 27] [-rounds N] [-seed N]
//
// The agent, PID 1, is killed with SIGKILL while the service runs, at some moment of an upgrade or a rollback, and at some moment of
// a boot, in turns; then the container is started. What is the agent's is the time from the start of its process to the event
// node.launched: taking the volume, settling what was under way, comparing each file of the release, deriving OTP's records. Before that
// Docker makes the container, and behind it the node boots. The result is Markdown on stdout. The start of the process is known to
// 10 ms, at the earlier end.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/integration/docker"
	"theseus/integration/images"
)

const (
	target   = time.Second // for the agent's part
	patience = 2 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	otp := flag.String("otp", "27", "OTP version: 25, 27 or 29")
	rounds := flag.Int("rounds", 20, "kills at each kind of moment")
	seed := flag.Uint64("seed", 1, "of the moments")
	flag.Parse()
	if err := bench(ctx, *otp, *rounds, rand.New(rand.NewPCG(*seed, 0)), os.Stdout); err != nil { //nolint:gosec // to be repeated
		fmt.Fprintln(os.Stderr, "recovery:", err)
		os.Exit(1)
	}
}

// moment is a kind of moments at which the agent is killed.
type moment struct {
	name    string
	come    func(context.Context, *victim) error
	samples []sample
}

// sample is one recovery, in its parts.
type sample struct{ docker, agent, boot time.Duration }

func bench(ctx context.Context, otp string, rounds int, random *rand.Rand, out io.Writer) (err error) {
	session, err := docker.Open(ctx, "recovery")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	v, err := launch(ctx, session, otp, random)
	if err != nil {
		return err
	}
	moments := []*moment{{name: "the service runs", come: serves}, {name: "an upgrade or a rollback", come: changes}, {name: "a boot", come: boots}}
	for range rounds {
		for _, m := range moments {
			s, err := v.round(ctx, m)
			if err != nil {
				return fmt.Errorf("killed in the midst of: %s: %w", m.name, err)
			}
			m.samples = append(m.samples, s)
		}
	}
	report(out, moments)
	return nil
}

// victim is the container that is killed.
type victim struct {
	*docker.Container
	random *rand.Rand
}

func launch(ctx context.Context, session *docker.Session, otp string, random *rand.Rand) (*victim, error) {
	set, err := images.Prepare(ctx, session, otp, os.Stderr)
	if err != nil {
		return nil, err
	}
	volume, err := session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	c, err := session.Start(ctx, docker.Spec{Image: set.Image, Name: "agent", Options: []string{
		"-v", volume + ":/var/lib/release", "-v", filepath.Dir(set.Package(images.Second)) + ":/packages:ro",
	}})
	if err != nil {
		return nil, err
	}
	v := &victim{c, random}
	_, err = v.upSince(ctx, time.Time{})
	return v, err
}

// round kills the agent, and starts the container again.
func (v *victim) round(ctx context.Context, m *moment) (s sample, err error) {
	if err := m.come(ctx, v); err != nil {
		return s, err
	}
	if err := v.Kill(ctx, "KILL"); err != nil {
		return s, err
	}
	if _, err := v.Wait(ctx); err != nil {
		return s, err
	}
	asked := time.Now()
	if err := v.Start(ctx); err != nil {
		return s, err
	}
	began, err := v.began(ctx)
	if err != nil {
		return s, err
	}
	life, err := v.upSince(ctx, began)
	s = sample{docker: began.Sub(asked), agent: life.launched.Sub(began), boot: life.started.Sub(life.launched)}
	return s, err
}

func serves(context.Context, *victim) error { return nil }

// changes begins an upgrade, or a rollback where that is done, and waits for some of the time that it takes.
func changes(ctx context.Context, v *victim) error {
	text, err := v.Output(ctx, "agent", "status", "--json")
	if err != nil {
		return err
	}
	var status api.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return err
	}
	words := []string{"agent", "upgrade", "/packages/demo-" + images.Second + ".tar.gz"}
	if status.Release.Version == images.Second {
		words = []string{"agent", "rollback", images.Seed}
	}
	go v.Exec(ctx, docker.Exec{Args: words}) //nolint:errcheck // it is killed with its container
	return v.wait(ctx, 3*time.Second)
}

// boots has the container start once more, and waits for some of the time that it takes.
func boots(ctx context.Context, v *victim) error {
	if err := v.Kill(ctx, "KILL"); err != nil {
		return err
	}
	if _, err := v.Wait(ctx); err != nil {
		return err
	}
	if err := v.Start(ctx); err != nil {
		return err
	}
	return v.wait(ctx, 1500*time.Millisecond)
}

func (v *victim) wait(ctx context.Context, most time.Duration) error {
	select {
	case <-time.After(time.Duration(v.random.Int64N(int64(most)))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// life is what one agent has told of its first node.
type life struct{ launched, started time.Time }

// upSince waits until a node is up that was launched after that time.
func (v *victim) upSince(ctx context.Context, began time.Time) (l life, err error) {
	err = v.Await(ctx, "a node that runs", patience, func(ctx context.Context) error {
		text, err := v.Output(ctx, "agent", "history", "--json", "-n", "40")
		if err != nil {
			return err
		}
		var events []api.Event
		if err := json.Unmarshal([]byte(text), &events); err != nil {
			return err
		}
		l = life{}
		for _, e := range events {
			l.note(e, began)
		}
		if l.started.IsZero() {
			return errors.New("it has not told of one")
		}
		return nil
	})
	return l, err
}

func (l *life) note(e api.Event, began time.Time) {
	switch {
	case e.Time.Before(began):
	case e.Kind == "node.launched" && l.launched.IsZero():
		l.launched = e.Time
	case e.Kind == "node.started" && l.started.IsZero():
		l.started = e.Time
	}
}

// began is when the container's first process started, as the kernel has it: in hundredths of a second after the machine's start.
func (v *victim) began(ctx context.Context) (time.Time, error) {
	pid, err := v.Inspect(ctx, "{{.State.Pid}}")
	if err != nil {
		return time.Time{}, err
	}
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return time.Time{}, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var hundredths int64
	if len(fields) < 20 {
		return time.Time{}, fmt.Errorf("unknown statistics %q", text)
	}
	if _, err := fmt.Sscan(fields[19], &hundredths); err != nil {
		return time.Time{}, err
	}
	since, err := uptime()
	return time.Now().Add(time.Duration(hundredths)*10*time.Millisecond - since), err
}

// uptime is how long the machine runs, sleep included.
func uptime() (time.Duration, error) {
	var now unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return time.Duration(now.Nano()), err
}

func report(out io.Writer, moments []*moment) {
	fmt.Fprintln(out, "| killed while | rounds | agent, median | agent, longest | target | node's own boot, median | docker start, median |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|")
	for _, m := range moments {
		agent := m.times(func(s sample) time.Duration { return s.agent })
		verdict := "met"
		if agent[len(agent)-1] > target {
			verdict = "**missed**"
		}
		fmt.Fprintf(out, "| %s | %d | %s | %s | ≤ %s: %s | %s | %s |\n", m.name, len(agent), ms(middle(agent)), ms(agent[len(agent)-1]), ms(target), verdict,
			ms(middle(m.times(func(s sample) time.Duration { return s.boot }))), ms(middle(m.times(func(s sample) time.Duration { return s.docker }))))
	}
}

// times are those of all samples, shortest first.
func (m *moment) times(pick func(sample) time.Duration) []time.Duration {
	var times []time.Duration
	for _, s := range m.samples {
		times = append(times, pick(s))
	}
	slices.SortFunc(times, cmp.Compare)
	return times
}

func middle(sorted []time.Duration) time.Duration { return sorted[len(sorted)/2] }

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
