package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"theseus/agent/api"
	"theseus/agent/proof"
)

func (c *cli) showCommand() *cobra.Command {
	var html bool
	cmd := &cobra.Command{
		Use:   "show [ID]",
		Short: "Prove what an upgrade has done: its report",
		Long: `Show prints the report of an upgrade, an installation or a rollback, by default of the last one: what was decided, each
step with its duration, the node before, in between and at the end, what was closed, killed, restarted and suspended
meanwhile, and what was lost where the node was restarted. What could not be seen is not there.

  docker exec CONTAINER agent history show
  docker exec CONTAINER agent history show --html >report.html

` + exitHelp,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			if html && c.json {
				return usageError{fmt.Errorf("cannot print it as --json and as --html")}
			}
			id := strings.Join(append(given, api.LastReport)[:1], "")
			r, err := c.client().Report(cmd.Context(), id)
			if err != nil || c.json {
				return c.give(r, err)
			}
			if html {
				return proof.Page(c.stdout, r)
			}
			return proof.Text(c.stdout, r)
		},
	}
	cmd.Flags().BoolVar(&html, "html", false, "print one page of HTML, which needs nothing else")
	return cmd
}
