package rehearse

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/signals"
)

// Probe looks at the service. What it says is compared before and after a way in service.
type Probe struct {
	Name    string
	Command string         // of sh
	Call    api.RPCRequest // or else of the node
}

const (
	probeTimeout = time.Minute
	loadEnd      = 10 * time.Second // for a load that is told to end
)

// probe asks all probes. One that fails is a finding, and has said nothing.
func (t *trial) probe(ctx context.Context, a *Act, when string) map[Probe]string {
	said := map[Probe]string{}
	for _, p := range t.Probes {
		text, err := t.probeOnce(ctx, a, p)
		if err != nil {
			a.find(ProbeFailed, p.Name, "%s, %s: %v", p.Name, when, err)
			continue
		}
		said[p] = text
	}
	return said
}

func (t *trial) probeOnce(ctx context.Context, a *Act, p Probe) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if p.Command == "" {
		return t.call(ctx, p.Call)
	}
	c, err := t.shell(a, p.Command)
	if err != nil {
		return "", err
	}
	defer c.discard()
	select {
	case <-c.process.Done():
	case <-ctx.Done():
		c.kill(ctx, 0)
		return "", fmt.Errorf("it does not end within %s", probeTimeout)
	}
	said := strings.TrimSpace(string(c.said()))
	if exit := c.process.Exit(); exit.Status() != 0 {
		return "", fmt.Errorf("%s: %s", exit, said)
	}
	return said, nil
}

// compareProbes is for the end of a way in service. What said the same as a fresh boot of the release before has no state to keep,
// and has to say what a fresh boot of the release at says; everything else has, and keeps it.
func (t *trial) compareProbes(a *Act, before, after map[Probe]string, from, at *fresh) {
	for _, p := range t.Probes {
		was, asked := before[p]
		is, said := after[p]
		want, as := was, "before"
		if text, known := at.said[p]; known && from.says(p, was) {
			want, as = text, "in a fresh boot of "+at.String()
		}
		if asked && said && is != want {
			a.Findings = append(a.Findings, Finding{
				Kind: ProbeDiffers, Subject: p.Name, Want: want, Got: is, Text: fmt.Sprintf("%s says %q, and %q %s", p.Name, is, want, as),
			})
		}
	}
}

// says is true of what a fresh boot says as well.
func (f *fresh) says(p Probe, text string) bool {
	said, known := f.said[p]
	return known && said == text
}

// command is one of the user's that runs.
type command struct {
	process *signals.Process
	out     *os.File
}

// shell starts it in the environment of the agent, so that agent asks that one.
func (t *trial) shell(a *Act, line string) (*command, error) {
	out, err := os.CreateTemp(t.dir, "command-")
	if err != nil {
		return nil, fmt.Errorf("cannot keep what a command prints: %w", err)
	}
	c := &command{out: out}
	env := append(slices.Clone(t.environ), "AGENT_ACT="+a.Name, "AGENT_NODE="+t.node, "PATH="+t.path())
	c.process, err = t.init.Start(signals.Command{Path: "/bin/sh", Args: []string{"sh", "-c", line}, Env: env, Stdout: out, Stderr: out})
	if err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

// path has agent on it, wherever that is.
func (t *trial) path() string {
	var path string
	for _, kv := range t.Environ {
		if name, value, _ := strings.Cut(kv, "="); name == "PATH" {
			path = value
		}
	}
	self, err := os.Executable()
	if err != nil {
		return path
	}
	return strings.TrimPrefix(path+":"+filepath.Dir(self), ":")
}

func (c *command) said() []byte {
	text, _ := os.ReadFile(c.out.Name())
	return bytes.ToValidUTF8(text, []byte("?"))
}

// kill ends it and what it has started: TERM, and KILL after grace.
func (c *command) kill(ctx context.Context, grace time.Duration) {
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_ = unix.Kill(-c.process.Pid(), unix.SIGTERM)
	select {
	case <-c.process.Done():
	case <-patience.Done():
	}
	_ = unix.Kill(-c.process.Pid(), unix.SIGKILL)
	<-c.process.Done()
}

func (c *command) discard() {
	c.out.Close()
	os.Remove(c.out.Name())
}

// startLoad gives the load its time before the way begins. A load that has ended well is one that is over.
func (t *trial) startLoad(ctx context.Context, a *Act) (*command, error) {
	if t.Load == "" {
		return nil, nil
	}
	c, err := t.shell(a, t.Load)
	if err != nil {
		return nil, err
	}
	warm := time.NewTimer(t.WarmUp)
	defer warm.Stop()
	select {
	case <-warm.C:
	case <-c.process.Done():
	case <-ctx.Done():
	}
	return c, nil
}

// endLoad tells the load to end, unless it has, and judges it: it may end with 0, or by that signal.
func (c *command) endLoad(ctx context.Context, a *Act) {
	if c == nil {
		return
	}
	defer c.discard()
	told := false
	select {
	case <-c.process.Done():
	default:
		told = true
		c.kill(ctx, loadEnd)
	}
	exit := c.process.Exit()
	if exit.Status() == 0 || told && exit.Status() == 128+int(unix.SIGTERM) {
		return
	}
	when := "by itself"
	if told {
		when = "when it was told to"
	}
	a.find(LoadFailed, "", "the load ended %s with %s:\n%s", when, exit, strings.Join(tail(c.out.Name()), "\n"))
}
