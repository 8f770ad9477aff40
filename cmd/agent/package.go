package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/agent/source"
)

// sourceFlags say which package is meant where the reference does not.
type sourceFlags struct {
	sha256, signature, release string
}

func (f *sourceFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.sha256, "sha256", "", "digest that the package must have, in hex")
	flags.StringVar(&f.signature, "signature", "", "file with the package's minisign signature, or its text (default PACKAGE.minisig, where that is there)")
	flags.StringVar(&f.release, "release", "", "version of the package that is meant, where PACKAGE is a directory of several")
}

const packageHelp = `PACKAGE is
  a file; a directory with one package in it, or with that of --release VSN; - for standard input
  http://… or https://…, which may end in #sha256=HEX: after a cut it goes on where it was
  oci://HOST/REPO@sha256:HEX or oci://HOST/REPO:TAG, with the logins of docker; oci+http://… is a registry without TLS
  NAME://REFERENCE, which may end in #sha256=HEX: what the plugin NAME fetches, which stands in a file of the image (AGENT_SOURCES)
`

const sourceHelp = packageHelp + `What comes over a network needs a digest (--sha256, #sha256=HEX, @sha256:HEX) or, where the agent has keys, a signature.

`

func (c *cli) options(f sourceFlags) source.Options {
	config, _ := agent.ConfigFrom(c.env) // what is wrong with it, others say
	return source.Options{
		Plugins: source.Plugins{File: config.Sources, Volume: config.Volume, Env: c.env},
		SHA256:  f.sha256, Signature: f.signature, Release: f.release,
		Stdin: c.stdin, Pace: c.pace, Retried: func(message string) { fmt.Fprintf(c.stderr, "%-10s %s\n", "retried", printable.Text(message)) },
	}
}

// sending is what a client does with a package that comes.
type sending func(context.Context, api.UpgradeRequest, io.Reader, func(api.Event)) (api.Result, error)

// send is for the verbs that bring a package to the agent, as it comes.
func (c *cli) send(ctx context.Context, ref string, from sourceFlags, req api.UpgradeRequest, do sending) error {
	progress := c.newProgress()
	options := c.options(from)
	options.Retried = func(message string) {
		progress.event(api.Event{Time: time.Now(), Kind: "source.retried", Message: message})
	}
	if source.IsRemote(ref) { // which may be interrupted, and its plugin ends with it
		interrupted, stop := signal.NotifyContext(ctx, os.Interrupt, unix.SIGTERM, unix.SIGHUP)
		defer stop()
		ctx = interrupted
		// An agent that is not there needs no package, and what this one asks for is its own affair.
		status, err := c.client().Status(ctx)
		if err != nil {
			return err
		}
		options.Signed = status.Agent.Signed
	}
	pkg, err := source.Open(ctx, ref, options)
	if err != nil {
		return err
	}
	defer pkg.Close()
	req.Name, req.Size, req.SHA256, req.Signature = printable.Text(pkg.Name), pkg.Size, pkg.SHA256, pkg.Signature
	result, err := c.follow(ctx, progress, func(ctx context.Context, on func(api.Event)) (api.Result, error) {
		return do(ctx, req, pkg, on)
	})
	if lost := pkg.Err(); err != nil && lost != nil {
		progress.close()
		c.awaitIdle(ctx)
		return lost
	}
	return c.end(progress, result, err)
}

const (
	idlePatience = 5 * time.Second
	lookAgain    = 20 * time.Millisecond
)

// awaitIdle returns when the agent has noticed that no more of a package comes: who has another source tries that next,
// and is not to be told that the agent is busy with this one.
func (c *cli) awaitIdle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, idlePatience)
	defer cancel()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if status, err := c.client().Status(ctx); err != nil || status.Upgrade == nil {
			return
		}
		<-again.C
	}
}

// fetch is for the verbs that read a package themselves, and run what is in it. Close takes away what is no file here.
func (c *cli) fetch(ctx context.Context, ref string, from sourceFlags) (*source.File, error) {
	config, err := agent.ConfigFrom(c.env)
	if err != nil {
		return nil, usageError{err}
	}
	return source.Fetch(ctx, ref, c.options(from), config.Trust(), config.Limits)
}
