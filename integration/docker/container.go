package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Spec is a container to run.
type Spec struct {
	Image   string
	Name    string   // distinguishes the session's containers
	Options []string // of docker run, such as --read-only or -v
	Command []string // empty for the image's own
}

// Hardened are the options under which a careful operator runs a service: an unprivileged user, no
// capabilities, and nothing to write to but its volume and two private tmpfs.
func Hardened() []string {
	return []string{
		"--read-only", "--user", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--tmpfs", "/run", "--tmpfs", "/tmp",
	}
}

// Container is a container of a session.
type Container struct {
	ID   string
	Name string
}

// Start runs a container in the background.
func (s *Session) Start(ctx context.Context, spec Spec) (*Container, error) {
	c := &Container{Name: s.tag() + "-" + spec.Name}
	args := append([]string{"run", "-d", "--name", c.Name}, s.labels()...)
	args = append(append(append(args, spec.Options...), spec.Image), spec.Command...)
	var err error
	c.ID, err = Output(ctx, args...)
	return c, err
}

// IP returns the container's address on the default network.
func (c *Container) IP(ctx context.Context) (string, error) {
	ip, err := c.Inspect(ctx, "{{.NetworkSettings.IPAddress}}")
	if err == nil && ip == "" {
		err = fmt.Errorf("cannot find the address of %s: it is not running", c.Name)
	}
	return ip, err
}

// Inspect returns one field of the container's state, as docker inspect --format prints it.
func (c *Container) Inspect(ctx context.Context, format string) (string, error) {
	return Output(ctx, "inspect", "--format", format, c.ID)
}

// Exec is a command inside a container.
type Exec struct {
	Options        []string // of docker exec, such as -u 0
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Exec runs a command and returns its exit status. An error means that there is none.
func (c *Container) Exec(ctx context.Context, e Exec) (int, error) {
	args := append([]string{"exec"}, e.Options...)
	if e.Stdin != nil {
		args = append(args, "-i")
	}
	cmd := exec.CommandContext(ctx, "docker", append(append(args, c.ID), e.Args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return -1, fmt.Errorf("cannot run %s in %s: %w", strings.Join(e.Args, " "), c.Name, err)
	}
	return 0, nil
}

// Output runs a command that must succeed and returns its standard output.
func (c *Container) Output(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	status, err := c.Exec(ctx, Exec{Args: args, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return "", err
	}
	if status != 0 {
		return "", fmt.Errorf("cannot run %s in %s: exit status %d: %s%s",
			strings.Join(args, " "), c.Name, status, &stdout, &stderr)
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}

// Stop asks the container to end and kills it after grace, which docker counts in whole seconds.
func (c *Container) Stop(ctx context.Context, grace time.Duration) error {
	_, err := Output(ctx, "stop", "-t", strconv.Itoa(int(grace.Seconds())), c.ID)
	return err
}

// Start starts a stopped container again.
func (c *Container) Start(ctx context.Context) error {
	_, err := Output(ctx, "start", c.ID)
	return err
}

// Restart stops and starts the container; grace as in Stop.
func (c *Container) Restart(ctx context.Context, grace time.Duration) error {
	_, err := Output(ctx, "restart", "-t", strconv.Itoa(int(grace.Seconds())), c.ID)
	return err
}

// Kill sends a signal to the container's first process.
func (c *Container) Kill(ctx context.Context, signal string) error {
	_, err := Output(ctx, "kill", "-s", signal, c.ID)
	return err
}

// longest is for a container to end, whatever it does before.
const longest = 10 * time.Minute

// Wait waits until the container has ended and returns its exit status.
func (c *Container) Wait(ctx context.Context) (int, error) {
	waiting, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	status, err := Output(waiting, "wait", c.ID)
	if waiting.Err() != nil && ctx.Err() == nil {
		return -1, fmt.Errorf("%s has not ended after %v\n%s", c.Name, longest, c.Logs(ctx))
	}
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(status)
}

// Remove removes the container, running or not, and its anonymous volumes.
func (c *Container) Remove(ctx context.Context) error {
	_, err := Output(ctx, "rm", "-f", "-v", c.ID)
	return err
}

// Logs returns what the container has printed so far, both streams.
func (c *Container) Logs(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "docker", "logs", c.ID).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s(no logs: %v)", out, err)
	}
	return string(out)
}

// lookAgain is the pause between two looks at a fact that is not there yet.
const lookAgain = 50 * time.Millisecond

// Await waits until fact returns nil. When patience runs out, or the container ends first, the error
// carries what the fact said last and what the container printed.
func (c *Container) Await(ctx context.Context, what string, patience time.Duration, fact func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		err := fact(waiting)
		if err == nil {
			return nil
		}
		if ended := c.ended(ctx); ended != nil {
			if err = fact(waiting); err == nil { // its last moment
				return nil
			}
			return fmt.Errorf("cannot see %s: %w: %w\n%s", what, err, ended, c.Logs(ctx))
		}
		select {
		case <-waiting.Done():
			return fmt.Errorf("cannot see %s within %v: %w\n%s", what, patience, err, c.Logs(ctx))
		case <-tick.C:
		}
	}
}

func (c *Container) ended(ctx context.Context) error {
	state, err := c.Inspect(ctx, "{{.State.Status}} with exit status {{.State.ExitCode}}")
	if err == nil && strings.HasPrefix(state, "exited") {
		return fmt.Errorf("%s has %s", c.Name, state)
	}
	return err
}
