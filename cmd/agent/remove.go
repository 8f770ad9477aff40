package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "remove VSN",
		Aliases: []string{"uninstall"},
		Short:   "Take a release off the volume",
		Long: `Remove deletes a release, and of its libraries those that no other release needs. What runs, what boots, where
a rollback leads, and what it leads over is refused. The agent does the same by itself with what is older than AGENT_KEEP_RELEASES says.
Of a release in quarantine (agent releases) it makes room for a mended package of the same version.

  docker exec CONTAINER agent remove 1.0.0

` + exitHelp,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			removed, err := c.client().Remove(cmd.Context(), given[0])
			if err != nil || c.json {
				return c.give(removed, err)
			}
			fmt.Fprintf(c.stdout, "%s %s is removed, %s are free again\n", removed.Name, removed.Version, size(float64(removed.Bytes)))
			return nil
		},
	}
}
