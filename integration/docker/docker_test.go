package docker

import (
	"bytes"
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shellImage names an image with a shell that the other integration tests build upon anyway.
func shellImage(t *testing.T) string {
	t.Helper()
	images, err := Output(t.Context(), "images", "-q", "debian:trixie-slim")
	if err != nil || images == "" {
		t.Skipf("%s needs the image debian:trixie-slim", t.Name())
	}
	return "debian:trixie-slim"
}

func openSession(t *testing.T) *Session {
	t.Helper()
	Require(t)
	s, err := Open(t.Context(), "docker-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestExecPassesInputOutputAndStatus(t *testing.T) {
	s := openSession(t)
	c, err := s.Start(t.Context(), Spec{Image: shellImage(t), Name: "exec", Command: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	status, err := c.Exec(t.Context(), Exec{
		Args: []string{"sh", "-c", "cat; exit 3"}, Stdin: strings.NewReader("over there"), Stdout: &out,
	})
	if err != nil || status != 3 || out.String() != "over there" {
		t.Errorf("status %d, output %q, error %v", status, out.String(), err)
	}
}

func TestAwaitShowsTheLogsOfAContainerThatEnded(t *testing.T) {
	s := openSession(t)
	c, err := s.Start(t.Context(), Spec{Image: shellImage(t), Name: "gone", Command: []string{"sh", "-c", "echo its last words; exit 7"}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Await(t.Context(), "a healthy service", 3*time.Minute, func(ctx context.Context) error {
		_, err := c.Output(ctx, "true")
		if err == nil {
			err = context.DeadlineExceeded
		}
		return err
	})
	for _, want := range []string{"a healthy service", "exit status 7", "its last words"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not tell of %q", err, want)
		}
	}
}

func TestOpenRemovesWhatDeadSessionsLeft(t *testing.T) {
	openSession(t)
	image := shellImage(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	label := ownerKey + "=" + strconv.Itoa(dead.Process.Pid)
	id, err := Output(t.Context(), "create", "--label", label, image, "true")
	if err != nil {
		t.Fatal(err)
	}
	openSession(t)
	if left, err := Output(t.Context(), "ps", "-aq", "--no-trunc", "--filter", "id="+id); err != nil || left != "" {
		t.Errorf("a container of a dead process is left: %q, %v", left, err)
	}
}
