package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"theseus/integration/docker"
	"theseus/integration/load"
)

// crowd is the load while it runs (bench/crowd/load).
type crowd struct {
	say       *io.PipeWriter
	hear      *bufio.Reader
	complaint bytes.Buffer
	ended     chan error
}

// gather returns when all sessions are connected.
func gather(ctx context.Context, service *docker.Container, sessions int, rate float64) (*crowd, error) {
	stdin, say := io.Pipe()
	hear, stdout := io.Pipe()
	c := &crowd{say: say, hear: bufio.NewReader(hear), ended: make(chan error, 1)}
	args := []string{"/crowd/load", "-sessions", fmt.Sprint(sessions), "-rate", fmt.Sprint(rate)}
	go func() {
		status, err := service.Exec(ctx, docker.Exec{Args: args, Stdin: stdin, Stdout: stdout, Stderr: &c.complaint})
		if err == nil && status != 0 {
			err = fmt.Errorf("cannot hold %d sessions: %s", sessions, strings.TrimSpace(c.complaint.String()))
		}
		c.ended <- err
		stdout.Close()
		stdin.Close()
	}()
	if line, err := c.hear.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(err, <-c.ended)
	}
	return c, nil
}

// mark begins a phase. Where the load is gone, leave says why.
func (c *crowd) mark(phase string) { _, _ = fmt.Fprintln(c.say, phase) }

// leave ends the load.
func (c *crowd) leave() (*load.Report, error) {
	_ = c.say.Close()
	var r load.Report
	err := json.NewDecoder(c.hear).Decode(&r)
	return &r, errors.Join(err, <-c.ended)
}
