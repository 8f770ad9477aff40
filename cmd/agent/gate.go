package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"theseus/agent/api"
	"theseus/agent/printable"
)

func (c *cli) gateCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "gate",
		Short: "Ask whether the system is well, as an upgrade does",
		Long: `Gates are questions that an upgrade asks before it installs a release, after that, and while the release settles: what
answers at an address, what a command or a plugin says, what the node counts. They stand in a file of the image (AGENT_GATES).

  docker exec CONTAINER agent gate check

` + gateExits,
	}, c.gateCheckCommand())
}

const gateExits = `EXIT STATUS
  0 every gate passes · 1 one does not, or they cannot be asked · 2 usage · 10 agent not running · 11 busy with an upgrade`

func (c *cli) gateCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Ask each gate once, now",
		Long: `Check reads the gates anew and asks each of them once, without a second try, whatever moments it is for. What counts from
an installation counts from now, so that it passes unless the node cannot be asked.

  docker exec CONTAINER agent gate check

` + gateExits,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := c.client().Gates(cmd.Context())
			if err != nil || c.json {
				c.status = gatesStatus(answer)
				return c.give(answer, err)
			}
			c.tellGates(answer)
			c.status = gatesStatus(answer)
			return nil
		},
	}
}

func gatesStatus(answer api.Gates) int {
	for _, g := range answer.Gates {
		if !g.OK {
			return exitError
		}
	}
	return exitDone
}

func (c *cli) tellGates(answer api.Gates) {
	if len(answer.Gates) == 0 {
		fmt.Fprintln(c.stderr, "agent: no gates are configured")
		return
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintln(w, "GATE\tKIND\tWHEN\tTOOK\tANSWER")
	for _, g := range answer.Gates {
		said := "passes"
		if !g.OK {
			said = "fails: " + printable.Text(g.Reason)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable.Text(g.Name), g.Kind, strings.Join(g.When, ","), g.Took.Round(time.Millisecond), said)
	}
}
