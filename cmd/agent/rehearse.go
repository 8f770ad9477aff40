package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/agent/rehearse"
	"theseus/agent/source"
	"theseus/agent/trust"
)

// rehearseFlags are what `agent rehearse` is told beside its options.
type rehearseFlags struct {
	probes, calls []string
	junit, output string
}

func (c *cli) rehearseCommand() *cobra.Command {
	var o rehearse.Options
	var flags rehearseFlags
	cmd := &cobra.Command{
		Use:   "rehearse OLD NEW",
		Short: "Try an upgrade from one package to another, and back, before it is real",
		Long: `Rehearse runs agents of its own on volumes that are thrown away: it boots the release in the package OLD and that in NEW, upgrades
one to the other, rolls back, and upgrades again, and compares each node with a fresh boot of the same release: modules, applications and
their environment, supervision trees, names, tables, code path, processes. Then it does the upgrade again and again, and kills the node, or
everything at once as the end of a container does, at each step of it. One node runs at a time, and listens where its release says.

  docker run --rm -v "$PWD:/mnt:ro" IMAGE agent rehearse /mnt/app-1.0.0.tar.gz /mnt/app-1.1.0.tar.gz

Every difference is a finding, and so are a node that does not boot, an upgrade that is refused or taken back, a crash or supervisor report that fresh
boots do not have, and what the load and the probes say. Where no relup leads back, the way back is a restart. docs/ci.md has the
words, and an example of a CI that uses it.

--load is a command for sh that uses the service: it is started before each upgrade and rollback, and told to end (TERM) after it. It fails when it ends by
itself with another status than 0, or with one when it is told to. --probe is a command for sh that looks at the service, and --probe-call a function of the
node, M F [ARGS] or M:F/0: they are asked before and after each way, and have to say the same after an upgrade or a rollback in service. A command that
ends with another status than 0 fails. Commands have the agent's environment, with AGENT_RUN_DIR, so that agent rpc asks that node, AGENT_NODE, its
name, and AGENT_ACT.

OLD and NEW come from all that agent upgrade takes packages from, so that what production runs may be oci://HOST/REPO@sha256:HEX. What comes
over a network needs a digest in its reference or, where there are keys, a signature (AGENT_PUBLIC_KEYS); what is here needs neither.

The settings of agent run count (AGENT_SETTLE, AGENT_BOOT_TIMEOUT…), but those of volume and seed. What agents and nodes print is in the file
of --output. TMPDIR, or --dir, has to have room for both releases, and must allow to execute where a release brings programs or native code.
TMPDIR has to have room for packages, too, that are no files here.

EXIT STATUS
  0 passed · 1 it could not be rehearsed · 2 usage · 3 something was found`,
		Args: args(2, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			o.Old, o.New = given[0], given[1]
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			if !cmd.Flags().Changed("settle") {
				o.Settle = -1
			}
			return c.rehearse(ctx, o, flags)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Derived, "derived", false, "have the agent make the relup that NEW lacks, where that can be done safely")
	f.BoolVar(&o.Restart, "restart", false, "let the agent restart the node where there is no way in service")
	f.BoolVar(&o.Quick, "quick", false, "kill nothing")
	f.StringVar(&o.Load, "load", "", "command that uses the service during each upgrade and rollback")
	f.DurationVar(&o.WarmUp, "warm-up", time.Second, "from the start of the load to that of the upgrade")
	f.StringArrayVar(&flags.probes, "probe", nil, "command that looks at the service; may be there more than once")
	f.StringArrayVar(&flags.calls, "probe-call", nil, "function that looks at the node: M F [ARGS] or M:F/0; may be there more than once")
	f.DurationVar(&o.Settle, "settle", 0, "how long each new release is watched before it is permanent (default the agent's AGENT_SETTLE)")
	f.DurationVar(&o.Patience, "timeout", 10*time.Minute, "for each act")
	f.StringVar(&o.Dir, "dir", "", "directory for everything that is thrown away (default TMPDIR)")
	f.StringVar(&flags.junit, "junit", "", "file for the report as JUnit XML; - is standard output, and other reports go to standard error then")
	f.StringVar(&flags.output, "output", "", "file for all that agents and nodes print")
	return cmd
}

func (c *cli) rehearse(ctx context.Context, o rehearse.Options, flags rehearseFlags) (err error) {
	o.Environ = c.env
	if o.Probes, err = flags.parse(); err != nil {
		return usageError{err}
	}
	if flags.output != "" {
		if o.Output, err = os.Create(flags.output); err != nil {
			return fmt.Errorf("cannot keep what agents and nodes print: %w", err)
		}
		defer o.Output.Close()
	}
	config, err := agent.ConfigFrom(c.env)
	if err != nil {
		return usageError{err}
	}
	var files []*source.File
	defer func() {
		for _, file := range files {
			err = errors.Join(err, file.Close())
		}
	}()
	o.Fetch = func(ctx context.Context, ref string) (path, name string, err error) {
		file, err := source.Fetch(ctx, ref, c.options(sourceFlags{}), toRehearse(ref, config), config.Limits)
		if err != nil {
			return "", source.Redact(ref), err
		}
		files = append(files, file)
		return file.Path, source.Redact(ref), nil
	}
	people := c.stdout
	if c.json || flags.junit == "-" {
		people = c.stderr
	}
	o.Tell = func(a rehearse.Act) { printLines(people, a.Text()) }
	report, err := rehearse.Run(ctx, o)
	if err == nil {
		printLines(people, report.Verdict())
	}
	if err == nil && !report.Passed {
		c.status = exitRefused
	}
	err = errors.Join(err, c.writeJUnit(report, flags.junit))
	if c.json {
		c.print(report) // which has the error as well
	}
	if err != nil { // whatever its code: nothing was refused by an agent
		c.complain(coded(err))
		c.status = exitError
	}
	return nil
}

// toRehearse is what a package must be signed with: one that is here may be one that is about to be signed.
func toRehearse(ref string, config agent.Config) trust.Policy {
	if source.IsRemote(ref) {
		return config.Trust()
	}
	return trust.Policy{}
}

func (f rehearseFlags) parse() (probes []rehearse.Probe, err error) {
	for _, command := range f.probes {
		probes = append(probes, rehearse.Probe{Name: command, Command: command})
	}
	for _, call := range f.calls {
		request, err := parseCall(call)
		if err != nil {
			return nil, err
		}
		probes = append(probes, rehearse.Probe{Name: call, Call: request})
	}
	return probes, nil
}

// parseCall reads M F [ARGS], or M:F/0.
func parseCall(call string) (api.RPCRequest, error) {
	words := strings.Fields(call)
	if len(words) == 1 {
		name, arity, _ := strings.Cut(call, "/")
		words = strings.SplitN(name, ":", 2)
		if len(words) == 2 && arity != "0" {
			return api.RPCRequest{}, fmt.Errorf("cannot call %s: its arguments are not known; M F ARGS gives them, as in 'lists sum [[1,2]]'", call)
		}
	}
	if len(words) < 2 {
		return api.RPCRequest{}, fmt.Errorf("cannot call %q: it is neither M F [ARGS] nor M:F/0", call)
	}
	return api.RPCRequest{Module: words[0], Function: words[1], Args: strings.Join(words[2:], " ")}, nil
}

func (c *cli) writeJUnit(report rehearse.Report, path string) error {
	switch path {
	case "":
		return nil
	case "-":
		return report.JUnit(c.stdout)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return errors.Join(report.JUnit(file), file.Close())
}

// printLines prints text that may quote others.
func printLines(out io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(out, printable.Text(strings.TrimSuffix(line, "\n")))
	}
}
