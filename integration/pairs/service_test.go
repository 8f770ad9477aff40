package pairs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/integration/program"
)

// alone runs a command in a network of its own, where that is allowed: of many nodes at once two may find the same port free.
var alone = []string{"sh", "-c", `unshare -n true 2>/dev/null || exec "$@"; exec unshare -n sh -c 'ip link set lo up && exec "$@"' alone "$@"`, "alone"}

// patience is how long a fact may take on a loaded machine.
const patience = 5 * time.Minute

// service is the real agent on this machine, with a node and a volume of its own.
type service struct {
	t     *testing.T
	agent string
	dir   string
	log   *os.File
	cmd   *exec.Cmd
	ended chan error
}

// serve boots a package on an empty volume, and waits until it is up.
func serve(t *testing.T, agent, pkg string) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "pair-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, agent: agent, dir: dir, cmd: exec.Command(alone[0], slices.Concat(alone[1:], []string{agent, "run"})...), ended: make(chan error, 1)}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	s.cmd.Env = append(os.Environ(), "AGENT_VOLUME="+dir+"/volume", "AGENT_SEED="+pkg, "AGENT_RUN_DIR="+dir+"/run", "HOME="+dir,
		"AGENT_SETTLE=1s", "AGENT_BOOT_TIMEOUT=5m", "AGENT_STOP_TIMEOUT=1m", "AGENT_RESTART=never", "ERL_FLAGS=+S 1:1 +SDio 1 +A 1")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(s.end)
	s.awaitUp()
	return s
}

func (s *service) awaitUp() {
	s.t.Helper()
	client := api.NewClient(s.socket())
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if client.Health(s.t.Context()) == nil {
			return
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			s.t.Fatalf("the agent ended: %v\n%s", err, s.text())
		case <-again.C:
		}
	}
	s.t.Fatalf("the node is not up after %s\n%s", patience, s.text())
}

func (s *service) socket() string { return filepath.Join(s.dir, "run", "agent.sock") }

// end stops the agent as a container does.
func (s *service) end() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	<-s.ended
	if !late.Stop() {
		s.t.Errorf("the agent did not end\n%s", s.text())
	}
	s.log.Close()
	if err := os.RemoveAll(s.dir); err != nil {
		s.t.Error(err)
	}
}

// text is what agent and node have printed.
func (s *service) text() string {
	text, _ := os.ReadFile(s.log.Name())
	return string(text)
}

// answer is how a command of the agent ended.
type answer struct {
	status         int
	stdout, stderr string
}

func (s *service) ask(stdin string, args ...string) answer {
	s.t.Helper()
	return run(s.t, stdin, append([]string{s.agent, "--socket", s.socket()}, args...)...)
}

// run runs a command, which has some minutes.
func run(t *testing.T, stdin string, command ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) || ctx.Err() != nil {
		t.Fatalf("%q: %v\n%s", command, err, stderr.String())
	}
	return answer{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// evaluates has expressions evaluated in the node, and returns the value of the last one.
func (s *service) evaluates(expressions string) string {
	s.t.Helper()
	a := s.ask(expressions, "eval", "-")
	if a.status != 0 {
		s.t.Fatalf("%s\ncannot be evaluated: %s\n%s", expressions, a.stderr, s.text())
	}
	return strings.TrimSpace(a.stdout)
}

// buildAgent is the binary, unless AGENT_TEST_BINARY names one.
func buildAgent(t *testing.T) string {
	t.Helper()
	if made := os.Getenv("AGENT_TEST_BINARY"); made != "" {
		return made
	}
	path := filepath.Join(t.TempDir(), "agent")
	program.Build(t, path, "theseus/cmd/agent")
	return path
}
