// Package docker runs the containers that the integration tests, the demo and the benchmarks need,
// through the docker command that the readers of this project use themselves.
//
// Everything that a Session makes carries its label and the pid of its process. Close removes it; what a
// process that died could not remove, the next Open does.
package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	labelKey = "theseus.integration"
	ownerKey = "theseus.owner"
)

// Session owns the containers and volumes of one run.
type Session struct {
	name string
}

// Open begins a session after it has removed what dead sessions of any name left behind. The name goes
// into the names of containers and volumes; sessions of several processes may share one.
func Open(ctx context.Context, name string) (*Session, error) {
	if err := removeOrphans(ctx); err != nil {
		return nil, fmt.Errorf("cannot remove containers of dead sessions: %w", err)
	}
	return &Session{name: name}, nil
}

// Close removes the session's containers, running or not, and its volumes.
func (s *Session) Close(ctx context.Context) error {
	return removeLabelled(ctx, labelKey+"="+s.tag())
}

func (s *Session) tag() string { return s.name + "-" + strconv.Itoa(os.Getpid()) }

func (s *Session) labels() []string {
	return []string{"--label", labelKey + "=" + s.tag(), "--label", ownerKey + "=" + strconv.Itoa(os.Getpid())}
}

func removeOrphans(ctx context.Context) error {
	owners, err := Output(ctx, "ps", "-a", "--filter", "label="+ownerKey, "--format", `{{.Label "`+ownerKey+`"}}`)
	if err != nil {
		return err
	}
	volumes, err := Output(ctx, "volume", "ls", "--filter", "label="+ownerKey, "--format", `{{.Label "`+ownerKey+`"}}`)
	if err != nil {
		return err
	}
	var errs []error
	for _, owner := range strings.Fields(owners + "\n" + volumes) {
		if pid, err := strconv.Atoi(owner); err == nil && !alive(pid) {
			errs = append(errs, removeLabelled(ctx, ownerKey+"="+owner))
		}
	}
	return errors.Join(errs...)
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

func removeLabelled(ctx context.Context, label string) error {
	return errors.Join(
		removeListed(ctx, []string{"ps", "-aq", "--filter", "label=" + label}, []string{"rm", "-f", "-v"}),
		removeListed(ctx, []string{"volume", "ls", "-q", "--filter", "label=" + label}, []string{"volume", "rm", "-f"}),
	)
}

func removeListed(ctx context.Context, list, remove []string) error {
	for deadline := time.Now().Add(time.Minute); ; <-time.After(lookAgain) { // two that remove the same are in each other's way
		ids, err := Output(ctx, list...)
		if err != nil || ids == "" {
			return err
		}
		if _, err = Output(ctx, append(slices.Clone(remove), strings.Fields(ids)...)...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Build is one docker build.
type Build struct {
	Dir    string // build context
	File   string // Dockerfile, relative to Dir
	Target string // stage, empty for the last
	Tag    string
	Args   map[string]string
}

// Run builds the image and writes docker's own progress to out.
func (b Build) Run(ctx context.Context, out io.Writer) error {
	args := []string{"build", "-f", b.File, "-t", b.Tag}
	if b.Target != "" {
		args = append(args, "--target", b.Target)
	}
	for name, value := range b.Args {
		args = append(args, "--build-arg", name+"="+value)
	}
	cmd := exec.CommandContext(ctx, "docker", append(args, ".")...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.Dir, out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build image %s: %w", b.Tag, err)
	}
	return nil
}

// CopyOut copies a file or directory of an image to the directory dest of the host.
func (s *Session) CopyOut(ctx context.Context, image, path, dest string) error {
	id, err := Output(ctx, append(append([]string{"create"}, s.labels()...), image, "true")...)
	if err != nil {
		return err
	}
	_, err = Output(ctx, "cp", id+":"+path, dest)
	_, rmErr := Output(ctx, "rm", "-f", "-v", id)
	return errors.Join(err, rmErr)
}

// Volume creates a named volume and returns its name.
func (s *Session) Volume(ctx context.Context, name string) (string, error) {
	return Output(ctx, append(append([]string{"volume", "create"}, s.labels()...), s.tag()+"-"+name)...)
}

// Output runs one docker command and returns what it printed, without the last newline.
func Output(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cannot run docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimRight(stdout.String(), "\n"), nil
}
