package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"theseus/signals"
)

// rawFlags are those of `agent run --raw`.
type rawFlags struct {
	on, become, group, subreaper bool
	grace                        time.Duration
}

func (f *rawFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SetInterspersed(false) // the command's flags are its own, with or without --
	flags.BoolVar(&f.on, "raw", false, "be PID 1 for any command")
	flags.BoolVar(&f.group, "group", false, "with --raw: forward signals to the command's process group")
	flags.DurationVar(&f.grace, "grace", 5*time.Second, "with --raw: time for what the command leaves running, from TERM to KILL")
	flags.BoolVar(&f.subreaper, "subreaper", true, "with --raw, where it is not PID 1: take in orphans")
	flags.BoolVar(&f.become, "become", false, "")
	_ = flags.MarkHidden("become") // how --raw tells a command its own pid
}

func (f *rawFlags) args(cmd *cobra.Command, given []string) error {
	switch {
	case !f.on && len(given) > 0 && given[0] == "agent": // a verb of an image whose entrypoint this is
		return nil
	case !f.on:
		return args(0, 0)(cmd, given)
	case len(given) == 0:
		return usageError{fmt.Errorf("cannot run nothing: usage: agent run --raw -- COMMAND [ARGS…]")}
	}
	return nil
}

// runRaw ends with the command's status, or with the one that a shell gives for a command that does not start.
func (c *cli) runRaw(flags rawFlags, command []string) error {
	var err error
	if flags.become {
		c.status, err = signals.Become(command, c.env)
	} else {
		c.status, err = signals.Raw{
			Log: slog.New(newLineHandler(signals.Stderr{})), Args: command, Env: c.env,
			Group: flags.group, Grace: flags.grace, NoSubreaper: !flags.subreaper,
			Become: []string{"/proc/self/exe", "run", "--raw", "--become", "--"},
		}.Run()
	}
	if err != nil {
		fmt.Fprintf(signals.Stderr{}, "agent: %v\n", err)
	}
	return nil
}
