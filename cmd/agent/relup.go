package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/agent/relup"
	"theseus/agent/source"
	"theseus/signals"
)

// codeUnderivable says that only a restart leads to the release.
const codeUnderivable = "underivable"

func (c *cli) relupCommand() *cobra.Command {
	var output string
	var appups bool
	cmd := &cobra.Command{
		Use:   "relup OLD NEW",
		Short: "Make the relup between two packages, also where applications have no appup",
		Long: `Relup makes what leads a node from the release in the package OLD to that in NEW, and prints it. Appups that the
applications have are used; for an application without one the instructions are derived from what changed in its modules, and
where that cannot be done safely the command says why and makes nothing. It leads up only: a way back is not derived. Put it as
releases/VSN/relup into the package of NEW; or print the appups with --appup, review them and keep them with the sources. It needs
no agent, but the OTP of the image, and a few times the packages' size in TMPDIR. Packages come from all that agent upgrade takes
them from, and are signed where it asks for that (AGENT_PUBLIC_KEYS). What comes over a network needs a digest in its reference
(#sha256=HEX, @sha256:HEX) or such a signature.

  docker run --rm --entrypoint agent -v "$PWD:/mnt" IMAGE relup /mnt/app-1.0.0.tar.gz /mnt/app-1.1.0.tar.gz -o /mnt/relup

EXIT STATUS
  0 made · 1 it could not be made · 2 usage · 3 nothing can be derived: a restart is the way`,
		Args: args(2, 2),
		RunE: func(cmd *cobra.Command, given []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			made, err := c.makeRelup(ctx, [2]string(given))
			if err != nil {
				return c.tellUnderivable(err)
			}
			return c.tellRelup(made, output, appups)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write the relup to; with --appup or --json those are printed as well")
	cmd.Flags().BoolVar(&appups, "appup", false, "print the appups that were derived instead")
	return cmd
}

func (c *cli) makeRelup(ctx context.Context, packages [2]string) (made relup.Made, err error) {
	dir, err := os.MkdirTemp("", "agent-relup-")
	if err != nil {
		return made, fmt.Errorf("cannot make a relup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var paths [2]string
	for i, ref := range packages {
		var file *source.File
		if file, err = c.fetch(ctx, ref, sourceFlags{}); err != nil {
			return made, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		paths[i] = file.Path
	}
	image, err := agent.DetectImage()
	if err != nil {
		return made, err
	}
	init, err := signals.New(slog.New(slog.DiscardHandler))
	if err != nil {
		return made, err
	}
	return relup.Packages(ctx, dir, image, init, paths)
}

// tellUnderivable is for what is no error of the command, but its answer.
func (c *cli) tellUnderivable(err error) error {
	var none *relup.UnderivableError
	if e, status := refusal("the package", err); e != nil {
		c.tellRefused(e, status)
		return nil
	}
	if errors.As(err, &none) {
		err = &api.Error{Code: codeUnderivable, Message: err.Error(), Hint: "write an appup for it, or upgrade with a restart: agent upgrade --restart"}
	}
	return err
}

func (c *cli) tellRelup(made relup.Made, output string, appups bool) error {
	for _, warning := range made.Warnings {
		fmt.Fprintf(c.stderr, "agent: systools warns: %s\n", printable.Text(warning))
	}
	for _, name := range slices.Sorted(maps.Keys(made.Derived)) {
		fmt.Fprintf(c.stderr, "agent: %s has no appup: its instructions were derived\n", name)
	}
	if output != "" {
		if err := os.WriteFile(output, made.Relup, 0o644); err != nil {
			return fmt.Errorf("cannot write the relup: %w", err)
		}
	}
	switch {
	case c.json:
		c.print(map[string]any{"relup": string(made.Relup), "derived": made.Derived, "warnings": made.Warnings})
	case appups:
		for _, name := range slices.Sorted(maps.Keys(made.Derived)) {
			fmt.Fprintf(c.stdout, "%%%% %s.appup\n%s", name, made.Derived[name])
		}
	case output == "":
		_, err := c.stdout.Write(made.Relup)
		return err
	}
	return nil
}
