package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"theseus/agent/api"
)

func (c *cli) upgradeCommand() *cobra.Command {
	var req api.UpgradeRequest
	var settle time.Duration
	var from sourceFlags
	var hold holdFlags
	cmd := &cobra.Command{
		Use:   "upgrade PACKAGE|-",
		Short: "Upgrade the running release to the one in a package, in service",
		Long: `Upgrade sends a release package, as rebar3 tar makes it, to the agent, which verifies and unpacks it beside
the running release, installs it with OTP's release_handler, watches it, and makes it permanent. When it does
not go well the old release runs on, or runs again. The version of a release on the volume in the place of a package is agent install.

Where the release has no relup from what runs, the way leads over releases on the volume whose relups do; agent unpack puts one
there. Until the last relup is through, everything that goes wrong ends in the release that ran before the first.

A release that needs a restart, for its relup restarts the emulator or it has none from what runs, is refused with 5 unless
--restart allows it: the node is restarted into the new release on trial, and its connections and state end.

While it is watched the image's gates are asked (agent gate check), for as long as --settle says; one that fails takes it back.

With --derived (or AGENT_DERIVED_RELUPS=allow) a package without a relup gets one, from the appups of its applications and, for those that
have none, from what changed in their modules; what is to be done is told before it is. agent relup makes the same beforehand.

Once the package has come, the end of this command ends nothing: agent status shows how the upgrade goes.

  docker exec -i CONTAINER agent upgrade - < app-1.1.0.tar.gz

Where the agent has keys (AGENT_PUBLIC_KEYS) a package needs a minisign signature: that in PACKAGE.minisig, or the
one that --signature names, or is.

  docker exec -i CONTAINER agent upgrade - --signature "$(cat app.minisig)" < app-1.1.0.tar.gz

` + sourceHelp + holdHelp + exitHelp,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if req.Settle, err = settled(cmd, settle); err != nil {
				return err
			}
			if req.Hold, err = hold.hold(); err != nil {
				return err
			}
			switch is, err := c.namesRelease(cmd.Context(), given[0]); {
			case err != nil:
				return err
			case is:
				return c.upgradeTo(cmd.Context(), given[0], req, from)
			}
			return c.send(cmd.Context(), given[0], from, req, c.client().Upgrade)
		},
	}
	from.define(cmd)
	allowDowngradeFlag(cmd, &req)
	cmd.Flags().BoolVar(&req.Restart, "restart", false, "restart the node where there is no way in service")
	cmd.Flags().BoolVar(&req.Derived, "derived", false, "have the relup made that the package lacks, where that can be done safely")
	settleFlag(cmd, &settle)
	hold.define(cmd)
	return cmd
}

// upgradeTo is for a release that is on the volume.
func (c *cli) upgradeTo(ctx context.Context, version string, req api.UpgradeRequest, from sourceFlags) error {
	switch {
	case from != sourceFlags{}:
		return usageError{fmt.Errorf("cannot check %s: it is on the volume, and --sha256, --signature and --release are for a package", version)}
	case req.Derived:
		return usageError{fmt.Errorf("cannot derive a relup for %s: it is on the volume already, and --derived is for a package", version)}
	}
	return c.install(ctx, api.InstallRequest{Version: version, Restart: req.Restart, Settle: req.Settle, Hold: req.Hold})
}

func allowDowngradeFlag(cmd *cobra.Command, req *api.UpgradeRequest) {
	cmd.Flags().BoolVar(&req.AllowDowngrade, "allow-downgrade", false, "let the package be of an older version than what runs")
}

func settleFlag(cmd *cobra.Command, settle *time.Duration) {
	cmd.Flags().DurationVar(settle, "settle", 0, "how long to watch the new release before it is permanent (default what the gates' file says, else AGENT_SETTLE)")
}

// settled is nil where the flag is not given.
func settled(cmd *cobra.Command, settle time.Duration) (*time.Duration, error) {
	switch {
	case !cmd.Flags().Changed("settle"):
		return nil, nil
	case settle < 0:
		return nil, usageError{fmt.Errorf("cannot watch a release for %s: --settle is 0 or more", settle)}
	}
	return &settle, nil
}

func (c *cli) rollbackCommand() *cobra.Command {
	var req api.RollbackRequest
	cmd := &cobra.Command{
		Use:     "rollback [VSN]",
		Aliases: []string{"downgrade"},
		Short:   "Go back to the previous release, or to another one on the volume",
		Long: `Rollback installs a release that is on the volume already, in service where relups lead there, also over others on the volume.
Where none do it is refused, unless --restart allows to restart the node into it, which ends its connections. Then the node need
not be up, so that this leads out of a crash loop. A release in quarantine has to be named.

A release that settles, or waits for its commit (--no-commit), is taken back at once, to the one that ran before it; the upgrade has
failed then.

  docker exec CONTAINER agent rollback

` + exitHelp,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 {
				req.Version = given[0]
			}
			return c.attend(cmd.Context(), func(ctx context.Context, on func(api.Event)) (api.Result, error) {
				return c.client().Rollback(ctx, req, on)
			})
		},
	}
	cmd.Flags().BoolVar(&req.Restart, "restart", false, "restart the node where there is no way in service")
	return cmd
}

// end prints how it ended, and sets the exit status.
func (c *cli) end(p *progress, result api.Result, err error) error {
	p.close()
	if err != nil {
		var e *api.Error
		if errors.As(err, &e) {
			return err
		}
		return fmt.Errorf("%w; agent status tells what runs now", err)
	}
	if c.json {
		c.printLine(api.Event{Time: time.Now(), Upgrade: result.ID, Kind: "result", Result: &result, Error: result.Error})
	} else {
		c.tell(result)
	}
	c.status = resultStatus(result)
	return nil
}

func (c *cli) tell(r api.Result) {
	took := r.Duration.Round(time.Millisecond)
	switch {
	case r.Outcome != api.Committed && r.Error != nil:
		c.complain(r.Error)
	case r.Outcome == api.Probation:
		fmt.Fprintf(c.stdout, "%s %s runs and is not permanent (%s), in %s\n", r.Name, r.To, r.Way(), took)
		fmt.Fprintf(c.stderr, "  hint: agent commit makes it permanent, agent rollback takes it back; %s comes back by itself at %s UTC\n",
			r.From, r.CommitBy.UTC().Format(time.DateTime))
	case r.Outcome == api.Unpacked:
		fmt.Fprintf(c.stdout, "%s %s is on the volume, in %s\n", r.Name, r.To, took)
	case r.Outcome == api.Reverted: // as was asked for
		fmt.Fprintf(c.stdout, "%s %s runs again, %s was taken back\n", r.Name, r.From, r.To)
	case r.Running != r.To:
		fmt.Fprintf(c.stdout, "%s %s is permanent, and the node has ended since (%s), in %s\n", r.Name, r.To, r.Way(), took)
	default:
		fmt.Fprintf(c.stdout, "%s %s runs and is permanent (%s), in %s\n", r.Name, r.To, r.Way(), took)
	}
}

func resultStatus(r api.Result) int {
	switch r.Outcome {
	case api.Committed, api.Probation, api.Unpacked:
		return exitDone
	case api.Refused:
		if r.Error != nil && statusOf(r.Error.Code) == exitNeedsRestart {
			return exitNeedsRestart
		}
		return exitRefused
	case api.Reverted:
		if r.Error == nil { // it was asked for
			return exitDone
		}
		return exitReverted
	}
	return exitError
}
