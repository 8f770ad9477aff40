package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/agent/source"
)

// Exit statuses, the same for every verb; what one says beyond that is in its help.
const (
	exitDone         = 0
	exitError        = 1
	exitUsage        = 2
	exitRefused      = 3  // nothing was changed
	exitReverted     = 4  // the old release runs
	exitNeedsRestart = 5  // and none was allowed
	exitNotRunning   = 10 // no agent answers
	exitBusy         = 11 // with another upgrade
)

const exitHelp = `EXIT STATUS
  0 done · 1 error · 2 usage · 3 refused, nothing changed · 4 reverted, the old release runs
  5 needs a restart, and none was allowed · 10 agent not running · 11 busy`

// cli is one call of the command.
type cli struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
	socket         string
	json           bool
	lines          bool // the verb prints one JSON document a line
	status         int  // of a verb that ended without an error
	pace           source.Pace
}

// run is main with everything that it touches as arguments, so that tests can be the caller.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	return c.run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.command()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.fail(err)
	}
	return c.status
}

// usageError marks what the caller got wrong in the command line itself.
type usageError struct{ error }

func (c *cli) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "agent",
		Short: "Run an Erlang release as PID 1, and upgrade it in service",
		Long: `agent launches the BEAM from an immutable image with the release on a writable volume, and upgrades the
running release to a new package without ending a connection or a process. "agent run" is the container's
entrypoint. What is about the node and its volume asks the running agent over its control socket; verify PACKAGE, relup, rehearse,
plan --offline and plugin check need none.

  docker exec -i CONTAINER agent upgrade - < app-1.1.0.tar.gz

` + exitHelp,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.PersistentFlags().StringVar(&c.socket, "socket", c.defaultSocket(), "control socket of the agent")
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		c.runCommand(), c.upgradeCommand(), c.unpackCommand(), c.installCommand(), c.commitCommand(), c.rollbackCommand(),
		c.statusCommand(), c.releasesCommand(), c.historyCommand(), c.removeCommand(),
		c.planCommand(), c.verifyCommand(), c.relupCommand(), c.rehearseCommand(),
		c.gateCommand(), c.pluginCommand(),
		c.rpcCommand(), c.evalCommand(), c.remoteCommand(), c.stopCommand(), c.healthCommand(), c.versionCommand(),
	)
	root.SetHelpCommand(helpCommand())
	return root
}

// helpCommand is cobra's, but that it does not end well where there is no such command.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Help about any command",
		RunE: func(cmd *cobra.Command, of []string) error {
			about, rest, err := cmd.Root().Find(of)
			if err == nil && len(rest) > 0 {
				err = fmt.Errorf("unknown command %q for %q", rest[0], about.CommandPath())
			}
			if err != nil {
				return usageError{err}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// defaultSocket is the one that an agent with this environment listens on. What else may be wrong with it is for
// run to say.
func (c *cli) defaultSocket() string {
	config, _ := agent.ConfigFrom(c.env)
	if config.RunDir == "" {
		return api.DefaultSocket
	}
	return config.Socket()
}

func (c *cli) client() *api.Client { return api.NewClient(c.socket) }

// args checks the number of arguments, and says how the verb is used.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if len(given) >= least && len(given) <= most {
			return nil
		}
		return usageError{fmt.Errorf("cannot read the arguments: usage: %s", cmd.UseLine())}
	}
}

// group is a verb that is nothing without another one behind it.
func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(verbs...)
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		if len(given) == 0 {
			return cmd.Help()
		}
		return usageError{fmt.Errorf("unknown command %q for %q", given[0], cmd.CommandPath())}
	}
	return cmd
}

// fail prints one error and gives its exit status.
func (c *cli) fail(err error) int {
	e := coded(err)
	if c.json {
		c.printError(e)
	} else {
		c.complain(e)
	}
	return statusOf(e.Code)
}

// codeUsage is the command's own; the agent never sends it.
const codeUsage = "usage"

// coded gives an error its stable word.
func coded(err error) *api.Error {
	var e *api.Error
	var usage usageError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return &api.Error{Code: codeUsage, Message: err.Error()}
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}

func (c *cli) printError(e *api.Error) {
	document := map[string]any{"error": e}
	if c.lines {
		c.printLine(document)
		return
	}
	c.print(document)
}

// complain tells a person what is wrong, what is true now, and the way out.
func (c *cli) complain(e *api.Error) {
	message := e.Message
	switch e.Code {
	case codeUsage: // whose lines are the command's own
	case api.CodeException: // of which the stack is on lines of its own, none of which is taken for the command's
		lines := strings.Split(strings.TrimRight(message, "\n"), "\n")
		for i := range lines {
			lines[i] = printable.Text(lines[i])
		}
		message = strings.Join(lines, "\n  ")
	default:
		message = printable.Text(message)
	}
	fmt.Fprintf(c.stderr, "agent: %s\n", message)
	if e.State != "" {
		fmt.Fprintf(c.stderr, "  now:  %s\n", printable.Text(e.State))
	}
	if e.Hint != "" {
		fmt.Fprintf(c.stderr, "  hint: %s\n", printable.Text(e.Hint))
	}
}

func statusOf(code string) int {
	switch code {
	case codeUsage:
		return exitUsage
	case api.CodeNotRunning:
		return exitNotRunning
	case api.CodeBusy:
		return exitBusy
	case api.CodeNeedsRestart, api.CodeNoRelup:
		return exitNeedsRestart
	case source.CodeNoPackage, source.CodeNoSignature, source.CodeUnprotected, source.CodeWrongDigest, codeUnderivable, api.CodeNoSuchRelease, api.CodeReleaseCurrent, api.CodeReleasePermanent,
		api.CodeRollbackTarget, api.CodeRollbackPath, api.CodeRecordDrift, api.CodeNotOnProbation:
		return exitRefused
	}
	return exitError
}

func (c *cli) print(v any) {
	out := json.NewEncoder(c.stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	out.Encode(v)
}

// number is the version of the next release.
const number = "0.1.0-dev"

// version is the number, and the commit where the build knew it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return number
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return number + "+" + s.Value[:min(12, len(s.Value))]
		}
	}
	return number
}
