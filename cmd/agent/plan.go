package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/plan"
	"theseus/agent/source"
	"theseus/signals"
	"theseus/volume"
)

// planFlags are those of `agent plan`.
type planFlags struct {
	sourceFlags
	keys, volume                     string
	offline, derived, allowDowngrade bool
}

func (c *cli) planCommand() *cobra.Command {
	var flags planFlags
	cmd := &cobra.Command{
		Use:   "plan PACKAGE|-|VSN",
		Short: "Tell what an upgrade would do, and what is wrong with it, before anything is done",
		Long: `Plan tells whether an upgrade to the release in the package, or to one on the volume, would go on in service, need a restart or
be refused, with all the reasons; which applications and modules change; what the relup does, in words; whose processes are
suspended or restarted, and how many there are; and what about it looks like a mistake: a module that is forgotten, a child that nothing
starts, a process that dies at a purge, settings that wait for a restart. docs/plan.md has the codes of all of that.

It asks the agent that runs, and its node, where there is one. With --offline, with --volume or without an agent it reads the volume alone,
and what only the node knows is unknown. It changes nothing: neither the volume nor a record nor the node. In TMPDIR it needs room for what
changes, and for a package that is no file here.

  docker exec -i CONTAINER agent plan - < app-1.1.0.tar.gz

` + sourceHelp + `EXIT STATUS
  0 it would go on in service · 1 it could not be planned · 2 usage · 3 it would be refused · 5 it would need a restart`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			made, err := c.plan(ctx, flags, given[0])
			if unread, is := errors.AsType[unplannable](err); is {
				c.tellRefused(unread.why, exitError)
				return nil
			}
			if err == nil {
				c.tellPlan(made)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&flags.volume, "volume", "", "release root to plan against, offline (default the running agent's, else AGENT_VOLUME)")
	cmd.Flags().BoolVar(&flags.offline, "offline", false, "ask no agent and no node")
	cmd.Flags().BoolVar(&flags.derived, "derived", false, "plan an upgrade with --derived: with a relup that is made where the package lacks it")
	cmd.Flags().BoolVar(&flags.allowDowngrade, "allow-downgrade", false, "plan an upgrade with --allow-downgrade")
	cmd.Flags().StringVar(&flags.keys, "public-keys", "", "file with a minisign public key, or directory of *.pub (default AGENT_PUBLIC_KEYS)")
	flags.define(cmd)
	return cmd
}

// unplannable is a package of which nothing is known: nothing would be refused, and nothing can be told.
type unplannable struct{ why *api.Error }

func (u unplannable) Error() string { return u.why.Error() }

func (c *cli) plan(ctx context.Context, flags planFlags, given string) (made plan.Plan, err error) {
	config, err := agent.ConfigFrom(c.env)
	if err != nil {
		return plan.Plan{}, usageError{err}
	}
	if flags.keys != "" {
		config.PublicKeys = flags.keys
	}
	request := plan.Request{
		Limits: config.Limits, MayDerive: flags.derived || config.DerivedRelups, RefuseDowngrade: !flags.allowDowngrade && config.RefusesDowngrade(),
	}
	if request.Image, err = agent.DetectImage(); err != nil {
		return plan.Plan{}, err
	}
	if request.Init, err = signals.New(slog.New(slog.DiscardHandler)); err != nil {
		return plan.Plan{}, err
	}
	if request.Client, request.Volume, err = c.whom(ctx, flags, config); err != nil {
		return plan.Plan{}, err
	}
	if isVersion(request.Volume, given) {
		request.Version = given
		return plan.Of(ctx, request)
	}
	file, err := source.Fetch(ctx, given, c.options(flags.sourceFlags), config.Trust(), config.Limits)
	switch e, status := refusal(source.Redact(given), err); {
	case status == exitRefused:
		request.Refusal = e
	case e != nil:
		return plan.Plan{}, unplannable{e}
	case err != nil:
		return plan.Plan{}, err
	default:
		defer func() { err = errors.Join(err, file.Close()) }()
		request.Package, request.Digest = file.Path, file.SHA256
	}
	return plan.Of(ctx, request)
}

// whom finds the agent that is asked, and the volume that is read.
func (c *cli) whom(ctx context.Context, flags planFlags, config agent.Config) (*api.Client, string, error) {
	switch {
	case flags.volume != "":
		return nil, flags.volume, nil
	case flags.offline:
		return nil, config.Volume, nil
	}
	client := c.client()
	status, err := client.Status(ctx)
	if e, told := errors.AsType[*api.Error](err); told && e.Code == api.CodeNotRunning {
		return nil, config.Volume, nil
	}
	return client, status.Volume.Root, err
}

// isVersion says whether what stands for a package is the version of a release on the volume. A file comes first.
func isVersion(root, given string) bool {
	if !mayBeVersion(given) {
		return false
	}
	v, err := volume.Look(root)
	if err != nil {
		return false
	}
	_, known := v.State().Releases[given]
	return known
}

func (c *cli) tellPlan(p plan.Plan) {
	c.status = map[plan.Verdict]int{plan.Hot: exitDone, plan.Restart: exitNeedsRestart, plan.Refuse: exitRefused}[p.Verdict]
	if c.json {
		c.print(p)
		return
	}
	tellPlan(c.stdout, p)
}
