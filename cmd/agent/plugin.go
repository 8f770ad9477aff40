package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/plugin/host"
	"theseus/agent/printable"
	"theseus/signals"
)

// codeNoAnswer says that a plugin could not be asked.
const codeNoAnswer = "no-answer"

// pluginFlags are how a plugin is tried.
type pluginFlags struct {
	config  map[string]string
	fetch   string
	plain   bool
	timeout time.Duration
}

func (c *cli) pluginCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "plugin",
		Short: "Try a plugin",
		Long: `Plugins answer for a gate, or fetch packages, in any language that speaks gRPC. agent-plugin, a program beside agent, asks them.

  docker exec CONTAINER agent plugin check /usr/lib/agent/gate-queue --config limit=100

` + pluginExits,
	}, c.pluginCheckCommand())
}

const pluginExits = `EXIT STATUS
  0 it has answered, or fetched · 1 it has not, or objects · 2 usage`

func (c *cli) pluginCheckCommand() *cobra.Command {
	var f pluginFlags
	cmd := &cobra.Command{
		Use:   "check PATH",
		Short: "Start a plugin as an upgrade does, ask it once, and end it",
		Long: `Check asks a plugin of the kind gate whether all is well, or has one of the kind source fetch a package and throws that away. It
prints the digest that the file of the gates or sources needs. It needs no running agent.

  docker exec CONTAINER agent plugin check /usr/lib/agent/gate-queue --config limit=100

` + pluginExits,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			return c.checkPlugin(ctx, given[0], f)
		},
	}
	cmd.Flags().StringToStringVar(&f.config, "config", nil, "KEY=VALUE of the plugin's own configuration; may be given several times")
	cmd.Flags().StringVar(&f.fetch, "fetch", "", "ask it as a source for the package with this reference")
	cmd.Flags().BoolVar(&f.plain, "no-mtls", false, "it speaks no TLS, and listens in PLUGIN_UNIX_SOCKET_DIR (mtls = false)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Second, "how long it may take")
	return cmd
}

// triedPlugin is what check prints.
type triedPlugin struct {
	Path    string        `json:"path"`
	SHA256  string        `json:"sha256"`
	Kind    string        `json:"kind"`
	OK      bool          `json:"ok"`
	Reason  string        `json:"reason,omitempty"`
	Version int           `json:"protocol,omitempty"`
	Bytes   int64         `json:"bytes,omitempty"` // that were fetched
	Took    time.Duration `json:"took_ns"`
}

func (c *cli) checkPlugin(ctx context.Context, path string, f pluginFlags) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	tried := triedPlugin{Path: path, Kind: host.Gate}
	if tried.SHA256, err = digest(path); err != nil {
		return fmt.Errorf("cannot read the plugin: %w", err)
	}
	dir, err := os.MkdirTemp("", "agent-plugin-")
	if err != nil {
		return fmt.Errorf("cannot make room for the plugin: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	init, err := signals.New(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	begun := time.Now()
	err = tried.ask(ctx, host.Host{Path: host.Beside(), Init: init, Env: c.env, Scratch: dir}, f)
	tried.Took = time.Since(begun)
	if err != nil {
		return &api.Error{Code: codeNoAnswer, Message: fmt.Sprintf("cannot ask %s: %v", path, unanswered(err, f.timeout))}
	}
	c.tellPlugin(tried)
	return nil
}

func unanswered(err error, timeout time.Duration) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", timeout)
	}
	return err
}

func (p *triedPlugin) ask(ctx context.Context, h host.Host, f pluginFlags) error {
	order := host.Order{Program: host.Program{Path: p.Path, SHA256: p.SHA256, Plain: f.plain}, Config: f.config, Reference: f.fetch}
	if f.fetch != "" {
		p.Kind, p.OK = host.Source, true
		return h.Fetch(ctx, order, counter{&p.Bytes})
	}
	order.Question = &host.Question{When: "now"}
	answer, err := h.Ask(ctx, order)
	p.OK, p.Reason, p.Version = answer.OK, answer.Reason, answer.Version
	return err
}

// counter throws away what it counts.
type counter struct{ bytes *int64 }

func (c counter) Write(p []byte) (int, error) {
	*c.bytes += int64(len(p))
	return len(p), nil
}

func (c *cli) tellPlugin(p triedPlugin) {
	if !p.OK {
		c.status = exitError
	}
	if c.json {
		c.print(p)
		return
	}
	fmt.Fprintf(c.stdout, "sha256 = %q\n", p.SHA256)
	took := p.Took.Round(time.Millisecond)
	switch {
	case p.Kind == host.Source:
		fmt.Fprintf(c.stdout, "fetched %s in %s\n", size(float64(p.Bytes)), took)
	case p.OK:
		fmt.Fprintf(c.stdout, "passes, in %s\n", took)
	default:
		fmt.Fprintf(c.stdout, "fails, in %s: %s\n", took, printable.Text(p.Reason))
	}
}

func digest(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
