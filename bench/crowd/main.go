// Command crowd measures what sessions notice of an upgrade when there are very many of them.
//
//	go run ./bench/crowd [-otp 27] [-rounds N] [-sessions N] [-rate R] [-quiet D]
//
// The module of a session changes, and its state does not. The package is upgraded once by the relup that the agent derives, which loads
// the module, and once by the one that is written by habit, {update, demo_session, {advanced, []}}, which suspends each session. All else is
// the same: package, agent, load. They take turns. The longest echo is from when a line was due to its answer. Each session has a connection
// of its own, as far as a process may have that many files open; the others are processes whose client never says anything. The result
// is Markdown on stdout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"theseus/integration/docker"
)

type config struct {
	otp      string
	rounds   int
	sessions int
	rate     float64
	quiet    time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cfg config
	flag.StringVar(&cfg.otp, "otp", "27", "OTP version: 25, 27 or 29")
	flag.IntVar(&cfg.rounds, "rounds", 3, "upgrades by each relup")
	flag.IntVar(&cfg.sessions, "sessions", 50000, "long-lived TCP sessions")
	flag.Float64Var(&cfg.rate, "rate", 1000, "lines a second of all together")
	flag.DurationVar(&cfg.quiet, "quiet", 10*time.Second, "how long the load runs before and after the upgrade")
	flag.Parse()
	if err := bench(ctx, cfg, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

// contender is a relup, and what was measured with it.
type contender struct {
	name    string
	flags   []string // of agent upgrade
	pkg     string   // its file name
	samples []sample
}

func bench(ctx context.Context, cfg config, out io.Writer) (err error) {
	session, err := docker.Open(ctx, "crowd")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	r, err := prepare(ctx, session, cfg)
	if err != nil {
		return err
	}
	derived := &contender{name: "derived, `load_module`", pkg: bare, flags: []string{"--derived"}}
	habit := &contender{name: "by habit, `update`", pkg: written}
	for round := range cfg.rounds {
		for _, c := range []*contender{derived, habit} {
			s, err := r.measure(ctx, *c)
			if err != nil {
				return fmt.Errorf("cannot measure %s: %w", c.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d: %s: %s, load average %s\n", round+1, c.name, s, averages())
			c.samples = append(c.samples, s)
		}
	}
	report(out, cfg, derived, habit)
	return nil
}

// averages is the machine's load, for who reads the numbers.
func averages() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
