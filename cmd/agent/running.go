package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"theseus/agent/api"
	"theseus/agent/printable"
)

// verifyRunning compares the node with its release. A drift is no error of the command, but its answer.
func (c *cli) verifyRunning(ctx context.Context) error {
	found, err := c.client().Drift(ctx)
	if err != nil {
		return err
	}
	if found.Drifted {
		c.status = exitRefused
	}
	if c.json {
		c.print(found)
		return nil
	}
	c.tellDrift(found)
	return nil
}

func (c *cli) tellDrift(found api.Drift) {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, about := range found.Unknown {
		fmt.Fprintf(w, "not looked at: %s\n", printable.Text(about))
	}
	if len(found.Differences) == 0 {
		fmt.Fprintf(w, "the node is what %s %s is: %d modules, their applications and configuration\n", found.Name, found.Version, found.Modules)
		return
	}
	fmt.Fprintln(w, "KIND\tAPPLICATION\tSUBJECT\tIS\tSHOULD BE")
	for _, d := range found.Differences {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Kind, d.Application, printable.Text(d.Subject), printable.Text(d.Got), printable.Text(d.Want))
	}
	if found.More > 0 {
		fmt.Fprintf(w, "and %d more\n", found.More)
	}
}
