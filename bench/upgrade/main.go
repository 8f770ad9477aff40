// Command upgrade measures what clients notice, and what an operator waits for, when a release goes from
// 1.0.0 to 1.1.0: by the agent, by the script that relx puts into a release, by nginx in front of two
// generations of containers, and by a plain restart. All of them run the same service under the same
// load on the same machine, one after the other in every round. It also times the commands that ask a running
// node: the agent's, those of the relx script and of a Mix release, and erl_call. The Mix release is on OTP 25
// whatever -otp says, the one that Debian has an Elixir for. The result is Markdown on stdout.
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
	"theseus/integration/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type config struct {
	otp     string
	rounds  int
	calls   int
	only    string
	quiet   time.Duration
	load    load.Config
	command string
}

func parse(args []string, stderr io.Writer) (config, error) {
	cfg := config{command: strings.Join(append([]string{"go run ./bench/upgrade"}, args...), " ")}
	flags := flag.NewFlagSet("upgrade", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.otp, "otp", "27", "OTP version: 25, 27 or 29")
	flags.IntVar(&cfg.rounds, "rounds", 3, "runs of each contender; the table shows medians")
	flags.IntVar(&cfg.calls, "calls", 20, "calls of each command whose latency is measured; 0 leaves them out")
	flags.StringVar(&cfg.only, "only", "", "measure only the contenders whose names contain this")
	flags.DurationVar(&cfg.quiet, "quiet", 4*time.Second, "how long the load runs before and after the upgrade")
	flags.IntVar(&cfg.load.HTTPClients, "http", 200, "keep-alive HTTP clients")
	flags.IntVar(&cfg.load.Sessions, "sessions", 1000, "long-lived TCP sessions")
	return cfg, flags.Parse(args)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cfg, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := compare(ctx, cfg, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "upgrade:", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, cfg config, stdout, stderr io.Writer) (err error) {
	session, err := docker.Open(ctx, "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	r, err := prepare(ctx, session, cfg, stderr)
	if err != nil {
		return err
	}
	all, err := measureAll(ctx, r, stderr)
	if err != nil {
		return err
	}
	var calls []latency
	if cfg.calls > 0 {
		if calls, err = measureCalls(ctx, r, stderr); err != nil {
			return err
		}
	}
	printMarkdown(stdout, cfg, all, calls)
	return nil
}
