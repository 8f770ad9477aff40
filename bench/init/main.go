// Init compares `agent run --raw` as PID 1 with tini, dumb-init and none, side by side in one run.
//
//	go run ./bench/init [-rounds N] [-agent PATH] [-otp 27]
//
// Each subject runs as PID 1 of a new PID namespace, which makes and ends it at the same cost for all. The
// subjects take turns within a round, so that what else the machine does strikes all of them. Every number
// is a median over all rounds; "over none" is the difference between medians.
//
//   - start: wall time from fork to exit of the init with /bin/true under it, 20 a round.
//   - signal: from kill(2) of a TERM to the init until a byte comes back from the child that handled it, 50
//     a round, one at a time. The child is a Go program, the same for all, and its own share is what "none"
//     shows.
//   - orphans: a thousand that are killed at once. Their rate is from the kill until the last one is reaped,
//     the kernel's own work included; the CPU time is the init's alone.
//   - idle: VmRSS and RssAnon of the init while its child waits, and how often it wakes up.
//
// The agent is built for the run unless -agent names one. With -otp a last row has what the agent holds when it
// keeps an idle node, in a container. A subject that is not installed, or cannot run, has a row that says so.
// Needs root, for the namespaces.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func main() {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		os.Exit(role())
	}
	rounds := flag.Int("rounds", 20, "how often each subject has its turn")
	agent := flag.String("agent", "", "the agent to measure; built where none is named")
	otp := flag.String("otp", "", "measure the agent beside a node of this OTP, too")
	idle := flag.Duration("idle", 2*time.Second, "how long an idle init is watched in each round")
	flag.Parse()
	if err := run(context.Background(), plan{*rounds, *agent, *otp, *idle}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}

// plan is what one run does.
type plan struct {
	rounds     int
	agent, otp string
	idle       time.Duration
}

// subject is an init: the words before the command that runs under it.
type subject struct {
	name   string
	prefix []string
	samples
	err error
}

// subjects begins with none, which the others are compared with.
func subjects(agent string) []*subject {
	return []*subject{
		{name: "none"},
		{name: "tini", prefix: []string{"tini", "--"}},
		{name: "dumb-init", prefix: []string{"dumb-init", "--"}},
		{name: "agent run --raw", prefix: []string{agent, "run", "--raw", "--"}},
	}
}

func run(ctx context.Context, p plan, out io.Writer) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("cannot make PID namespaces: needs root")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if p.agent == "" {
		dir, err := os.MkdirTemp("", "bench-init-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		p.agent = filepath.Join(dir, "agent")
		if err := build(ctx, p.agent); err != nil {
			return err
		}
	}
	list := subjects(p.agent)
	for _, s := range list {
		s.err = s.runs()
	}
	for range p.rounds {
		for _, s := range list {
			if s.err == nil {
				s.err = s.round(self, p.idle)
			}
		}
	}
	var node *samples
	if p.otp != "" {
		if node, err = besideANode(ctx, p.otp, p.idle*time.Duration(p.rounds)); err != nil {
			return err
		}
	}
	return report(list, node, out)
}

// build makes the agent as the image has it.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "theseus/cmd/agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the agent: %w\n%s", err, out)
	}
	return nil
}

// runs says whether the subject can be measured at all.
func (s *subject) runs() error {
	if len(s.prefix) > 0 {
		if _, err := exec.LookPath(s.prefix[0]); err != nil {
			return err
		}
	}
	return s.command("/bin/true").Run()
}
