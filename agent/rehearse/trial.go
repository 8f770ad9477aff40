package rehearse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/notify"
	"theseus/signals"
)

// poll is how often an agent is asked what it does.
const poll = 50 * time.Millisecond

// trial is a volume that is thrown away, and the agent that has it.
type trial struct {
	*stage
	dir     string
	config  agent.Config
	environ []string
	client  *api.Client
	output  *os.File // what agent and node print
	agent   *signals.Process
	node    string // its name, when it is up
	reports *reports
}

// newTrial makes an empty volume, whose agent has a package to begin with.
func (s *stage) newTrial(seed string) (*trial, error) {
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		return nil, fmt.Errorf("cannot make a volume: %w", err)
	}
	t := &trial{stage: s, dir: dir, environ: s.environment(dir, seed)}
	if t.config, err = agent.ConfigFrom(t.environ); err != nil {
		return nil, err
	}
	if err := os.Mkdir(t.config.Volume, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make a volume: %w", err)
	}
	if t.output, err = os.Create(filepath.Join(dir, "output")); err != nil {
		return nil, fmt.Errorf("cannot keep what the agent prints: %w", err)
	}
	t.client = api.NewClient(t.config.Socket())
	return t, nil
}

// environment is the caller's, so that a release finds what it needs, and an agent the settings of production. Its signatures are
// no matter of a rehearsal, which comes before them; and a service manager hears nothing of it.
func (s *stage) environment(dir, seed string) []string {
	ours := []string{
		s.marker,
		"AGENT_VOLUME=" + filepath.Join(dir, "volume"), "AGENT_SEED=" + seed, "AGENT_SEED_POLICY=newer",
		"AGENT_RUN_DIR=" + filepath.Join(s.dir, "run"), "AGENT_DIST_PORT=0", "AGENT_DOWNGRADE=allow",
		"AGENT_PUBLIC_KEYS=", "AGENT_SEED_SIGNATURE=ignored", "AGENT_LOG=text",
	}
	return append(slices.DeleteFunc(notify.Strip(s.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(ours, func(our string) bool { return strings.HasPrefix(our, name+"=") })
	}), ours...)
}

// settled is how long a release is watched before it counts as good.
func (t *trial) settled() time.Duration {
	if t.Settle >= 0 {
		return t.Settle
	}
	return t.config.Settle
}

// boot starts the agent and waits until its node is up.
func (t *trial) boot(ctx context.Context) (api.Status, error) {
	if err := t.start(); err != nil {
		return api.Status{}, err
	}
	return t.up(ctx, 0)
}

func (t *trial) start() (err error) {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the agent's own program: %w", err)
	}
	t.agent, err = t.init.Start(signals.Command{
		Path: self, Args: []string{"agent", "run"}, Env: t.environ, Dir: t.dir, Stdout: t.output, Stderr: t.output,
	})
	return err
}

// nodeError is a node, or an agent, that does not do what it should. It is found, and ends nothing.
type nodeError struct {
	kind  string // of finding
	cause error
	said  []string // the last lines
}

func (e *nodeError) Error() string {
	return strings.Join(append([]string{e.cause.Error()}, e.said...), "\n")
}

func (e *nodeError) Unwrap() error { return e.cause }

// down is the error of a node that does not come up.
func (t *trial) down(format string, args ...any) error {
	cause := fmt.Errorf("the node does not come up: "+format, args...)
	var on unix.Statfs_t
	if unix.Statfs(t.dir, &on) == nil && on.Flags&unix.ST_NOEXEC != 0 {
		cause = fmt.Errorf("%w; %s is mounted noexec, and a release with programs or native code of its own needs another --dir", cause, filepath.Dir(t.stage.dir))
	}
	return &nodeError{BootFailed, cause, t.lastLines()}
}

// lost is the error of a node that has been up, and cannot be asked.
func (t *trial) lost(err error) error {
	return &nodeError{NodeLost, err, t.lastLines()}
}

// up waits until a node runs that is another one than that with the pid before. An agent that has ended is not started again.
func (t *trial) up(ctx context.Context, before int) (api.Status, error) {
	wait, cancel := context.WithTimeout(ctx, 2*t.config.BootTimeout)
	defer cancel()
	again := time.NewTicker(poll)
	defer again.Stop()
	for {
		status, err := t.client.Status(wait)
		if err == nil && status.Node.State == api.NodeRunning && status.Node.PID != before {
			t.node = status.Node.Name
			return status, t.listen(ctx)
		}
		select {
		case <-again.C:
		case <-t.agent.Done():
			return api.Status{}, t.down("the agent ended with %s", t.agent.Exit())
		case <-wait.Done():
			return api.Status{}, errors.Join(ctx.Err(), t.down("it is not up after %s", 2*t.config.BootTimeout))
		}
	}
}

// recovered is up for a node that was ended. An agent that ends with it is started again, as whoever runs the container does.
func (t *trial) recovered(ctx context.Context, before int) (api.Status, error) {
	status, err := t.up(ctx, before)
	select {
	case <-t.agent.Done():
		t.kill(ctx)
		return t.boot(ctx)
	default:
		return status, err
	}
}

// quoted is how many lines are quoted of what was printed.
const quoted = 12

func (t *trial) lastLines() []string { return tail(t.output.Name()) }

func tail(path string) []string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(text, []byte("?")))), "\n")
	return lines[max(0, len(lines)-quoted):]
}

// stop ends agent and node in order, and then whatever they leave.
func (t *trial) stop(ctx context.Context) {
	if t.agent == nil {
		return
	}
	t.agent.Stop(ctx, 0, t.config.StopTimeout+5*time.Second)
	t.kill(ctx)
}

// kill is the end of a container.
func (t *trial) kill(ctx context.Context) {
	t.init.Kill(ctx, t.marker)
	<-t.agent.Done()
}

// killNode kills the node alone.
func (t *trial) killNode(pid int) error {
	node, err := os.FindProcess(pid)
	if err == nil {
		err = node.Signal(unix.SIGKILL)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot kill the node: %w", err)
	}
	return nil
}

// end throws the volume away, when what was printed is handed on.
func (t *trial) end(ctx context.Context) error {
	t.stop(ctx)
	if t.Output != nil {
		_, _ = t.output.Seek(0, io.SeekStart)
		_, _ = io.Copy(t.Output, t.output)
	}
	t.output.Close()
	return discard(t.dir)
}

// call has the node call a function.
func (t *trial) call(ctx context.Context, request api.RPCRequest) (string, error) {
	var out strings.Builder
	err := t.client.RPC(ctx, request, &out)
	return strings.TrimSpace(out.String()), err
}

// eval has the node evaluate an expression.
func (t *trial) eval(ctx context.Context, source string) (string, error) {
	var out strings.Builder
	err := t.client.Eval(ctx, api.EvalRequest{Source: source, Lang: api.Erlang, As: api.AsLine}, &out)
	return strings.TrimSpace(out.String()), err
}
