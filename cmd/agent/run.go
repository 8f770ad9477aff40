package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"theseus/agent"
	"theseus/agent/rehearse"
	"theseus/signals"
)

// gcPercent makes the collector run early: what PID 1 holds is missing to the node.
const gcPercent = 25

func (c *cli) runCommand() *cobra.Command {
	var raw rawFlags
	cmd := &cobra.Command{
		Use:   "run [--raw -- COMMAND [ARGS…]]",
		Short: "Be PID 1: boot the release on the volume and keep it",
		Long: `Run opens the volume, unpacks the image's package where the volume is empty (or the image is new), decides
what to boot and says why, launches the BEAM, and answers on the control socket. TERM and INT stop the node
in an orderly way, QUIT does so fast, USR1 has it write a crash dump. The exit status is the node's own.

  ENTRYPOINT ["agent", "run"]

Where NOTIFY_SOCKET is set, systemd or podman is told when the node is ready, upgraded and stopping, and that it
lives (WATCHDOG_USEC). Neither is passed on to the node.

With --raw it is PID 1 for any command instead, and nothing else: it forwards every signal to the command,
reaps orphans, hands over the terminal, and ends as the command does. What the command leaves running has
TERM and --grace to end. Signals 32 and 34 are the C library's and cannot be forwarded.

  ENTRYPOINT ["agent", "run", "--raw", "--", "/usr/bin/server", "--port", "80"]

With the name agent and a verb it is that verb and nothing else, so that an image with this entrypoint has all of them:

  docker run --rm IMAGE agent version

ENVIRONMENT
` + agent.Help() + `
EXIT STATUS
  the node's own, 128+n where signal n killed it; 1 where no node could be launched; 2 usage
  with --raw the command's own, 128+n where signal n killed it; 126 where it cannot be executed, 127 where
  it is not to be found`,
		Args: raw.args,
		RunE: func(cmd *cobra.Command, given []string) error {
			switch {
			case raw.on:
				return c.runRaw(raw, given)
			case len(given) > 0:
				c.status = run(cmd.Context(), given[1:], c.env, c.stdin, c.stdout, c.stderr)
				return nil
			}
			config, err := agent.ConfigFrom(c.env)
			if err != nil {
				return usageError{err}
			}
			debug.SetGCPercent(gcPercent)
			c.stderr = signals.Stderr{} // where nobody reads it, lines are lost: an agent that waited could not end
			log := slog.New(c.handler(config.LogJSON))
			for _, name := range agent.Ignored(c.env) {
				if name != rehearse.Variable {
					log.Warn("what " + name + " says is ignored: agent run has no such setting")
				}
			}
			c.status, err = agent.Run(cmd.Context(), config, c.env, version(), log)
			return err
		},
	}
	raw.define(cmd)
	return cmd
}

// handler writes the agent's own lines, which must be told from the node's on the same stderr.
func (c *cli) handler(asJSON bool) slog.Handler {
	if asJSON {
		return slog.NewJSONHandler(c.stderr, nil).WithAttrs([]slog.Attr{slog.String("source", "agent")})
	}
	return newLineHandler(c.stderr)
}
