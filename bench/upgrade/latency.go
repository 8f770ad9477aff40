package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"theseus/integration/docker"
)

// The node's name in the demo's vm.args, and its cookie in relx.Dockerfile.
const (
	nodeName = "demo@127.0.0.1"
	cookie   = "demo"
)

// latency is what one command took, from its start to its end, inside the container.
type latency struct {
	name  string
	times []time.Duration
	where *docker.Container
	args  []string
}

// burst is how often a command runs before the next one has its turn.
const burst = 5

// measureCalls times the commands by which an operator or a health check asks a running node.
func measureCalls(ctx context.Context, r *rig, progress io.Writer) ([]latency, error) {
	fmt.Fprintln(progress, "latency of commands")
	calls, err := setUpCalls(ctx, r)
	if err != nil {
		return nil, err
	}
	for done := 0; done < r.cfg.calls; done += burst {
		for i := range calls {
			if err := calls[i].burst(ctx); err != nil {
				return nil, err
			}
		}
	}
	return calls, r.clear(ctx)
}

func setUpCalls(ctx context.Context, r *rig) ([]latency, error) {
	agent, err := startAgent(ctx, r, r.thin)
	if err != nil {
		return nil, err
	}
	volume, err := r.session.Volume(ctx, "relx")
	if err != nil {
		return nil, err
	}
	relx, err := r.node(ctx, r.relx+from, "-v", volume+":/opt/demo")
	if err != nil {
		return nil, err
	}
	mix, err := startMix(ctx, r)
	if err != nil {
		return nil, err
	}
	a := agent.(*node).Container
	return []latency{
		{name: "agent status", where: a, args: []string{"agent", "status"}},
		{name: "agent rpc", where: a, args: []string{"agent", "rpc", "erlang", "node"}},
		{name: "erl_call -a", where: relx.Container, args: relx.erlCallCommand("erlang node")},
		{name: "relx ping", where: relx.Container, args: []string{"bin/demo", "ping"}},
		{name: "relx rpc", where: relx.Container, args: []string{"bin/demo", "rpc", "erlang", "node"}},
		{name: "relx eval", where: relx.Container, args: []string{"bin/demo", "eval", "node()."}},
		mix,
	}, nil
}

func (l *latency) burst(ctx context.Context) error {
	times, err := timeCommand(ctx, l.where, burst, l.args)
	l.times = append(l.times, times...)
	return err
}

// timeCommand runs a command n times inside a container, where docker exec is not part of the time.
func timeCommand(ctx context.Context, where *docker.Container, n int, args []string) ([]time.Duration, error) {
	out, err := where.Output(ctx, append([]string{"/tools/timer", strconv.Itoa(n)}, args...)...)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for field := range strings.FieldsSeq(out) {
		ns, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("cannot read what the timer said: %w", err)
		}
		times = append(times, time.Duration(ns))
	}
	return times, nil
}
