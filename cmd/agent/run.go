package main

import (
	"log/slog"
	"runtime/debug"

	"github.com/spf13/cobra"

	"theseus/agent"
)

// gcPercent makes the collector run early: what PID 1 holds is missing to the node.
const gcPercent = 25

func (c *cli) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Be PID 1: boot the release on the volume and keep it",
		Long: `Run opens the volume, unpacks the image's package where the volume is empty (or the image is new), decides
what to boot and says why, launches the BEAM, and answers on the control socket. TERM and INT stop the node
in an orderly way. The exit status is the node's own.

  ENTRYPOINT ["agent", "run"]

ENVIRONMENT
` + agent.Help() + `
EXIT STATUS
  the node's own, 128+n where signal n killed it; 1 where no node could be launched; 2 usage`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := agent.ConfigFrom(c.env)
			if err != nil {
				return usageError{err}
			}
			debug.SetGCPercent(gcPercent)
			log := slog.New(c.handler(config.LogJSON))
			c.status, err = agent.Run(cmd.Context(), config, c.env, version(), log)
			return err
		},
	}
}

// handler writes the agent's own lines, which must be told from the node's on the same stderr.
func (c *cli) handler(asJSON bool) slog.Handler {
	if asJSON {
		return slog.NewJSONHandler(c.stderr, nil).WithAttrs([]slog.Attr{slog.String("source", "agent")})
	}
	return newLineHandler(c.stderr)
}
