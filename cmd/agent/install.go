package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"theseus/agent/api"
	"theseus/agent/source"
)

// holdFlags let the new release wait for agent commit.
type holdFlags struct {
	api.Hold
	cmd *cobra.Command
}

func (f *holdFlags) define(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.BoolVar(&f.NoCommit, "no-commit", false, "leave the new release running and not permanent until agent commit or agent rollback")
	flags.BoolVar(&f.NoCommit, "no-permanent", false, "")
	_ = flags.MarkHidden("no-permanent") // relx's word for it
	flags.DurationVar(&f.CommitWithin, "commit-within", 0, "with --no-commit: take it back after this (default the agent's AGENT_COMMIT_WITHIN)")
}

func (f *holdFlags) hold() (api.Hold, error) {
	switch given := f.cmd.Flags().Changed("commit-within"); {
	case given && !f.NoCommit:
		return f.Hold, usageError{errors.New("cannot wait for a commit: --commit-within needs --no-commit")}
	case given && f.CommitWithin <= 0:
		return f.Hold, usageError{fmt.Errorf("cannot wait %s for a commit: --commit-within is more than 0", f.CommitWithin)}
	}
	return f.Hold, nil
}

func (c *cli) unpackCommand() *cobra.Command {
	var req api.UpgradeRequest
	var from sourceFlags
	cmd := &cobra.Command{
		Use:   "unpack PACKAGE|-",
		Short: "Put the release in a package on the volume, and install nothing",
		Long: `Unpack sends a release package to the agent, which verifies it and keeps its release on the volume: agent releases shows
it as unpacked. It needs no node that is up. Agent install installs it; an upgrade to a later release may lead over it, where
that has no relup from what runs.

  docker exec -i CONTAINER agent unpack - < app-1.1.0.tar.gz

` + sourceHelp + exitHelp,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.send(cmd.Context(), given[0], from, req, c.client().Unpack)
		},
	}
	from.define(cmd)
	allowDowngradeFlag(cmd, &req)
	return cmd
}

func (c *cli) installCommand() *cobra.Command {
	var req api.InstallRequest
	var hold holdFlags
	var settle time.Duration
	cmd := &cobra.Command{
		Use:   "install VSN",
		Short: "Install a release that is on the volume, in service",
		Long: `Install does what an upgrade does, to a release that is on the volume already: one that was unpacked (agent unpack) or ran
before. Agent rollback is the same with the previous release as its default.

  docker exec CONTAINER agent install 1.1.0

` + holdHelp + exitHelp,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) (err error) {
			if req.Settle, err = settled(cmd, settle); err != nil {
				return err
			}
			req.Version = given[0]
			if req.Hold, err = hold.hold(); err != nil {
				return err
			}
			return c.install(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVar(&req.Restart, "restart", false, "restart the node where there is no way in service")
	settleFlag(cmd, &settle)
	hold.define(cmd)
	return cmd
}

func (c *cli) install(ctx context.Context, req api.InstallRequest) error {
	return c.attend(ctx, func(ctx context.Context, on func(api.Event)) (api.Result, error) {
		return c.client().Install(ctx, req, on)
	})
}

func (c *cli) commitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "commit [VSN]",
		Short: "Make the release permanent that an upgrade with --no-commit has left running",
		Long: `Commit ends a probation well: the release is looked at once more, and then it is what boots. With VSN only where that is
the release on probation. Agent rollback ends it the other way, agent status shows it with its deadline.

  docker exec CONTAINER agent commit

` + exitHelp,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			return c.attend(cmd.Context(), func(ctx context.Context, on func(api.Event)) (api.Result, error) {
				return c.client().Commit(ctx, api.CommitRequest{Version: strings.Join(given, "")}, on)
			})
		},
	}
}

// namesRelease says whether what stands for a package is the version of a release on the volume, as users of relx
// write it. A file comes first, and what is called as one needs nobody who knows the releases.
func (c *cli) namesRelease(ctx context.Context, name string) (bool, error) {
	if !mayBeVersion(name) {
		return false, nil
	}
	releases, err := c.client().Releases(ctx)
	if source.NamesPackage(name) {
		err = nil
	}
	return slices.ContainsFunc(releases, func(r api.Release) bool { return r.Version == name }), err
}

// mayBeVersion is false of what is a file, or a path.
func mayBeVersion(given string) bool {
	_, err := os.Stat(given)
	return errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(given, '/')
}

const holdHelp = `With --no-commit the new release runs on probation until agent commit makes it permanent or agent rollback takes it
back. It is taken back as well when nobody has committed it in time, and when the node or the container ends; this command ends with 0
as soon as the probation begins.

`
