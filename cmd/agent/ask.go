package main

import (
	"fmt"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"theseus/agent/api"
	"theseus/agent/printable"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what runs, and what the agent is doing",
		Long:  "Status tells which release runs, what the node is doing, what boots after a restart and why.\n\n  docker exec CONTAINER agent status\n\n" + exitHelp,
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.client().Status(cmd.Context())
			if err != nil || c.json {
				return c.give(s, err)
			}
			c.tellStatus(s)
			return nil
		},
	}
}

func (c *cli) tellStatus(s api.Status) {
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "release\t%s %s (%s)\n", s.Release.Name, s.Release.Version, s.Release.Status)
	fmt.Fprintf(w, "node\t%s %s%s\n", state(s.Node), s.Node.Name, pid(s.Node))
	if n := s.Node.Notice; n != nil {
		fmt.Fprintf(w, "says\t%s\n", printable.Text(says(*n)))
	}
	if r := s.Node.Restarts; r.Count > 0 {
		fmt.Fprintf(w, "restarts\t%d, the last %s ago: %s\n", r.Count, time.Since(r.At).Round(time.Second), printable.Text(r.Last))
	}
	fmt.Fprintf(w, "boots next\t%s\n", s.Volume.Current)
	if s.Volume.Previous != "" {
		fmt.Fprintf(w, "rollback to\t%s\n", s.Volume.Previous)
	}
	fmt.Fprintf(w, "booted\t%s: %s\n", s.Boot.Version, printable.Text(s.Boot.Reason))
	for _, r := range s.Quarantined {
		fmt.Fprintf(w, "quarantined\t%s, %s ago: %s\n", r.Version, time.Since(r.Quarantined).Round(time.Second), printable.Text(r.Failed))
	}
	if s.Upgrade != nil {
		fmt.Fprintf(w, "upgrade\t%s\n", s.Upgrade)
	}
	fmt.Fprintf(w, "agent\t%s, pid %d, up %s\n", s.Agent.Version, s.Agent.PID, time.Since(s.Agent.Since).Round(time.Second))
}

// says is what the node says of itself.
func says(n api.Notice) string {
	text := "that it is not ready"
	switch {
	case n.Stopping:
		text = "that it stops"
	case n.Ready:
		text = "that it is ready"
	}
	if n.Status != "" {
		text += ": " + n.Status
	}
	return text
}

// state is what the node does, and for how long it stays down.
func state(n api.Node) string {
	if n.State != api.NodeRestarting {
		return n.State
	}
	return fmt.Sprintf("%s in %s", n.State, max(0, time.Until(n.Restarts.Next)).Round(time.Second))
}

func pid(n api.Node) string {
	if n.PID == 0 {
		return ""
	}
	return fmt.Sprintf(", pid %d, up %s", n.PID, time.Since(n.Since).Round(time.Second))
}

func (c *cli) releasesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "releases",
		Aliases: []string{"versions"},
		Short:   "List the releases on the volume",
		Long: `Releases lists what is on the volume: permanent boots after a restart, current runs and is not permanent,
old was permanent before, unpacked never was. What is quarantined never ran well after it had become permanent, or an
install of it failed; it is not booted until an upgrade or a rollback to it is asked for; remove takes it away.

  docker exec CONTAINER agent releases

` + exitHelp,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := c.client().Releases(cmd.Context())
			if err != nil || c.json {
				return c.give(list, err)
			}
			w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
			defer w.Flush()
			fmt.Fprintln(w, "NAME\tVERSION\tSTATUS\tERTS\tUNPACKED\tSHA256\tSIGNED BY\tFAILED")
			for _, r := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.12s\t%s\t%s\n", r.Name, r.Version, releaseStatus(r), r.ERTS, r.Unpacked.Format(time.DateTime), r.SHA256, r.SignedBy, printable.Text(r.Failed))
			}
			return nil
		},
	}
}

func releaseStatus(r api.Release) string {
	if r.Quarantined.IsZero() {
		return r.Status
	}
	return r.Status + ", quarantined"
}

func (c *cli) historyCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Tell what was done on this volume, and decided",
		Long: `History prints the recorded events, oldest first: each boot with its reason, each upgrade with its steps and
its end. It is kept on the volume.

  docker exec CONTAINER agent history -n 50

` + exitHelp,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("cannot tell %d events: -n is 0 or more", limit)}
			}
			events, err := c.client().History(cmd.Context(), limit)
			if err != nil || c.json {
				return c.give(events, err)
			}
			for _, e := range events {
				fmt.Fprintf(c.stdout, "%s  %-20s  %-18s  %s\n", e.Time.UTC().Format(time.DateTime), e.Upgrade, e.Kind, printable.Text(e.Message))
			}
			return nil
		},
	}
	cmd.AddCommand(c.showCommand())
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "at most so many of the newest events, 0 = all")
	return cmd
}

func (c *cli) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the node in an orderly way, and the container with it",
		Long:  "Stop does what docker stop does, from the inside: init:stop in the node, then the agent's end. A restart policy of the\ncontainer (always, unless-stopped) starts it again after that, with what is permanent; docker stop keeps it down.\n\n  docker exec CONTAINER agent stop\n\n" + exitHelp,
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.client().Stop(cmd.Context())
		},
	}
}

func (c *cli) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Succeed when the node runs",
		Long:  "Health is for HEALTHCHECK and probes: it says nothing and succeeds while all applications of the node run, and\nit answers within three seconds. An upgrade under way is no reason to fail.\n\n  HEALTHCHECK CMD [\"agent\", \"health\"]\n\n" + exitHelp,
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.client().Health(cmd.Context())
		},
	}
}

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Tell which agent this is",
		Long:  "Version prints the version of this command, without asking the running agent.\n\n  agent version\n\n" + exitHelp,
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if c.json {
				c.print(api.Version{Version: version(), Go: runtime.Version()})
				return nil
			}
			fmt.Fprintln(c.stdout, "agent", version())
			return nil
		},
	}
}

// give prints an answer as JSON, or passes the error on.
func (c *cli) give(v any, err error) error {
	if err == nil {
		c.print(v)
	}
	return err
}
