package main

import (
	"context"
	"io"
	"path/filepath"

	"theseus/integration/docker"
	"theseus/integration/images"
)

// mixOTP is the OTP of the Mix release, whatever the others run on: the one that mix.Dockerfile has an Elixir for.
const mixOTP = "25"

// mixRPC is the latency of a Mix release's own rpc, as the table names it.
const mixRPC = "mix rpc (OTP " + mixOTP + ")"

func (r *rig) buildMix(ctx context.Context, root string, out io.Writer) error {
	if err := images.Bases(ctx, root, mixOTP, out); err != nil {
		return err
	}
	return docker.Build{Dir: filepath.Join(root, "bench", "upgrade"), File: "mix.Dockerfile", Tag: r.mix}.Run(ctx, out)
}

// startMix runs a Mix release, which is up when its own script can ask it.
func startMix(ctx context.Context, r *rig) (latency, error) {
	c, err := r.start(ctx, r.mix)
	if err != nil {
		return latency{}, err
	}
	l := latency{name: mixRPC, where: c, args: []string{"bin/app", "rpc", "IO.puts(node())"}}
	return l, c.Await(ctx, "a Mix release that answers", patience, func(ctx context.Context) error {
		_, err := c.Output(ctx, l.args...)
		return err
	})
}
