package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
)

// besideANode watches the agent while it keeps the demo service's node, which has nothing to do.
func besideANode(ctx context.Context, otp string, length time.Duration) (s *samples, err error) {
	session, err := docker.Open(ctx, "bench-init")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Close(context.WithoutCancel(ctx))) }()
	var progress bytes.Buffer
	set, err := images.Prepare(ctx, session, otp, &progress)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, &progress)
	}
	c, err := session.Start(ctx, docker.Spec{Image: set.Image, Name: "node"})
	if err != nil {
		return nil, err
	}
	err = c.Await(ctx, "the node running", time.Minute, func(ctx context.Context) error {
		_, err := c.Output(ctx, "agent", "health")
		return err
	})
	if err != nil {
		return nil, err
	}
	text, err := c.Inspect(ctx, "{{.State.Pid}}")
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	s = new(samples)
	before := cpu(pid)
	if err := s.idles(pid, length); err != nil {
		return nil, err
	}
	s.busy = float64(cpu(pid)-before) / float64(length) * 100
	return s, nil
}
