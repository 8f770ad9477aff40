// Command recovery measures how long a container that was killed takes until its node boots again.
//
//	go run ./bench/recovery [-otp 27] [-rounds N] [-seed N] [-cgroup PARENT]
//
// The agent, PID 1, is killed with SIGKILL while the service runs, at some moment of an upgrade or a rollback, and at some moment of
// a boot, in turns; then the container is started. What is the agent's is the time from its begin, as agent status has it, to the event
// node.launched: taking the volume, settling what was under way, comparing each file of the release, deriving OTP's records. Before that
// come Docker, which makes the container, and the start of a Go program (bench/init); behind it the node boots. The result is Markdown
// on stdout. Where the machine has other work, -cgroup puts the container below a control group that has the most of the processors.
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
	"syscall"
	"time"

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
	cgroup := flag.String("cgroup", "", "parent of the container's control group; empty is Docker's")
	flag.Parse()
	if err := bench(ctx, plan{*otp, *cgroup, *rounds, *seed}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "recovery:", err)
		os.Exit(1)
	}
}

// plan is what one run does.
type plan struct {
	otp, cgroup string
	rounds      int
	seed        uint64
}

// moment is a kind of moments at which the agent is killed.
type moment struct {
	name    string
	come    func(context.Context, *victim) error
	samples []sample
}

// sample is one recovery, in its parts.
type sample struct{ docker, agent, boot time.Duration }

func bench(ctx context.Context, p plan, out io.Writer) (err error) {
	session, err := docker.Open(ctx, "recovery")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	v, err := launch(ctx, session, p)
	if err != nil {
		return err
	}
	moments := []*moment{{name: "the service runs", come: serves}, {name: "an upgrade or a rollback", come: changes}, {name: "a boot", come: boots}}
	for range p.rounds {
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

func launch(ctx context.Context, session *docker.Session, p plan) (*victim, error) {
	set, err := images.Prepare(ctx, session, p.otp, os.Stderr)
	if err != nil {
		return nil, err
	}
	volume, err := session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	c, err := session.Start(ctx, docker.Spec{Image: set.Image, Name: "agent", Options: []string{
		"--cgroup-parent", p.cgroup, "-v", volume + ":/var/lib/release", "-v", filepath.Dir(set.Package(images.Second)) + ":/packages:ro",
	}})
	if err != nil {
		return nil, err
	}
	v := &victim{c, rand.New(rand.NewPCG(p.seed, 0))} //nolint:gosec // to be repeated
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
	l, err := v.upSince(ctx, asked)
	s = sample{docker: l.began.Sub(asked), agent: l.launched.Sub(l.began), boot: l.started.Sub(l.launched)}
	return s, err
}

func serves(context.Context, *victim) error { return nil }

// changes begins an upgrade, or a rollback where that is done, and waits for some of the time that it takes.
func changes(ctx context.Context, v *victim) error {
	status, err := v.status(ctx)
	if err != nil {
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

func (v *victim) status(ctx context.Context) (s api.Status, err error) {
	text, err := v.Output(ctx, "agent", "status", "--json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	return s, err
}

// life is when an agent began, and what it has told of its first node.
type life struct{ began, launched, started time.Time }

// upSince waits until a node is up that was launched after that time.
func (v *victim) upSince(ctx context.Context, asked time.Time) (l life, err error) {
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
			l.note(e, asked)
		}
		if l.started.IsZero() {
			return errors.New("it has not told of one")
		}
		return nil
	})
	if err == nil {
		var s api.Status
		s, err = v.status(ctx)
		l.began = s.Agent.Since
	}
	return l, err
}

func (l *life) note(e api.Event, asked time.Time) {
	switch {
	case e.Time.Before(asked):
	case e.Kind == "node.launched" && l.launched.IsZero():
		l.launched = e.Time
	case e.Kind == "node.started" && l.started.IsZero():
		l.started = e.Time
	}
}

func report(out io.Writer, moments []*moment) {
	fmt.Fprintln(out, "| killed while | rounds | agent, median | agent, longest | target | node's own boot, median | agent / boot | before the agent, median |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, m := range moments {
		agent := m.times(func(s sample) time.Duration { return s.agent })
		verdict := "met"
		if agent[len(agent)-1] > target {
			verdict = "**missed**"
		}
		boot := middle(m.times(func(s sample) time.Duration { return s.boot }))
		before := middle(m.times(func(s sample) time.Duration { return s.docker }))
		fmt.Fprintf(out, "| %s | %d | %s | %s | ≤ %s: %s | %s | %.2f | %s |\n", m.name, len(agent), ms(middle(agent)), ms(agent[len(agent)-1]),
			ms(target), verdict, ms(boot), float64(middle(agent))/float64(boot), ms(before))
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
