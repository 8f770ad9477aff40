// Command demo shows the whole of it: it builds the example image, runs the demo service in a container,
// puts load on it, upgrades it twice and rolls it back while the load runs, and tells what the clients
// noticed. It ends with status 1 when they noticed anything worse than a pause.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"theseus/integration/docker"
	"theseus/integration/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type config struct {
	otp      string
	hardened bool
	quiet    time.Duration
	load     load.Config
}

func parse(args []string, stderr io.Writer) (config, error) {
	var cfg config
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.otp, "otp", "27", "OTP version: 25, 27 or 29")
	flags.BoolVar(&cfg.hardened, "hardened", false, "read-only root, user 1000, no capabilities, no new privileges")
	flags.DurationVar(&cfg.quiet, "quiet", 5*time.Second, "how long the load runs before, between and after the steps")
	flags.IntVar(&cfg.load.HTTPClients, "http", 200, "keep-alive HTTP clients")
	flags.IntVar(&cfg.load.Sessions, "sessions", 1000, "long-lived TCP sessions")
	return cfg, flags.Parse(args)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	lossless, err := demonstrate(ctx, cfg, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	if !lossless {
		return 1
	}
	return 0
}

func demonstrate(ctx context.Context, cfg config, stdout, stderr io.Writer) (lossless bool, err error) {
	session, err := docker.Open(ctx, "demo")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	story, err := prepare(ctx, session, cfg, stdout, stderr)
	if err != nil {
		return false, err
	}
	report, err := story.tell(ctx)
	if err != nil {
		return false, err
	}
	printReport(stdout, report)
	return report.Lossless(), nil
}
