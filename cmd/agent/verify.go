package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/agent/source"
	"theseus/agent/trust"
	"theseus/volume"
)

// verifyFlags are those of `agent verify`.
type verifyFlags struct {
	sourceFlags
	keys, volume string
	running      bool // the node, and no package
}

// verified is the answer of `agent verify`.
type verified struct {
	Package   string          `json:"package"`
	SHA256    string          `json:"sha256"`
	Size      int64           `json:"size"`
	Signature *signatureFound `json:"signature"` // null: nobody asked for one
	Release   releaseFound    `json:"release"`
	Relup     relupFound      `json:"relup"`
	Skipped   []string        `json:"skipped"`          // what has no place on a volume
	OTP       string          `json:"otp"`              // the image's, which has what the package lacks; empty: there is none to compare with
	Volume    *volumeCompared `json:"volume,omitempty"` // with --volume
}

type signatureFound struct {
	Key     string `json:"key"`
	Comment string `json:"comment"`
}

type releaseFound struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	ERTS         string `json:"erts"`
	BringsERTS   bool   `json:"brings_erts"`
	Applications int    `json:"applications"`
	Size         int64  `json:"size"` // unpacked
}

type relupFound struct {
	From []string `json:"from"` // it leads from these
	To   []string `json:"to"`   // and back to these
}

type volumeCompared struct {
	Root  string `json:"root"`
	Known bool   `json:"known"` // the release is there already
}

func (c *cli) verifyCommand() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify PACKAGE|- | --running",
		Short: "Check a package, or whether the node is its release, without a change to anything",
		Long: `Verify checks all of a package that can be checked without a node: its digest, its signature where keys are
configured (AGENT_PUBLIC_KEYS), the archive (AGENT_PACKAGE_LIMITS), the release in it, and whether the image has the OTP that it needs. With
--volume it also compares the package with what is on a volume, which may belong to an agent that runs. It needs no
agent, and a few kilobytes in TMPDIR; a package that is no file comes there, too. Since nothing of it is run, one from a network
needs no digest here: this is how to learn it.

  docker run --rm --entrypoint agent -v "$PWD:/mnt" IMAGE verify /mnt/app-1.1.0.tar.gz

With --running it asks the running agent in what the node is not the release on the volume: code, code path, applications, their
environments, and processes that were left in code that was replaced. docs/drift.md has the kinds of differences.

  docker exec CONTAINER agent verify --running

` + packageHelp + `
EXIT STATUS
  0 the package is good, or the node is its release · 1 it could not be checked · 2 usage · 3 it would be refused, or the node has drifted
  10 agent not running · 11 busy with an upgrade`,
		Args: func(cmd *cobra.Command, given []string) error {
			if flags.running {
				return args(0, 0)(cmd, given)
			}
			return args(1, 1)(cmd, given)
		},
		RunE: func(cmd *cobra.Command, given []string) error {
			if flags.running {
				if flags != (verifyFlags{running: true}) {
					return usageError{errors.New("cannot verify a package and the node at once: --running goes alone")}
				}
				return c.verifyRunning(cmd.Context())
			}
			config, err := agent.ConfigFrom(c.env)
			if err != nil {
				return usageError{err}
			}
			if flags.keys != "" {
				config.PublicKeys = flags.keys
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			found, err := c.verify(ctx, config, flags, given[0])
			return c.tellVerified(found, err)
		},
	}
	flags.define(cmd)
	cmd.Flags().StringVar(&flags.keys, "public-keys", "", "file with a minisign public key, or directory of *.pub (default AGENT_PUBLIC_KEYS)")
	cmd.Flags().StringVar(&flags.volume, "volume", "", "release root to compare with; nothing is written there")
	cmd.Flags().BoolVar(&flags.running, "running", false, "compare the node with its release")
	return cmd
}

// verify takes the steps in the order of an upgrade: nothing is unpacked of a package that is not trusted.
func (c *cli) verify(ctx context.Context, config agent.Config, flags verifyFlags, ref string) (v verified, err error) {
	v.Package = source.Redact(ref)
	options := c.options(flags.sourceFlags)
	options.Look = true
	policy := config.Trust()
	file, err := source.Fetch(ctx, ref, options, policy, config.Limits)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	v.SHA256, v.Size = file.SHA256, file.Size
	if policy.Required() {
		v.Signature = &signatureFound{Key: file.Signer.Key, Comment: file.Signer.Comment}
	}
	image, err := agent.DetectImage()
	if err != nil {
		return v, err
	}
	found, err := volume.Inspect(ctx, file.Path, v.SHA256, volume.Place{Volume: flags.volume, Image: image, Limits: config.Limits})
	if err == nil {
		v.add(found, image, flags.volume)
	}
	return v, err
}

func (v *verified) add(found volume.Inspected, image volume.Image, root string) {
	r := found.Release
	v.OTP = image.OTPRoot
	v.Release = releaseFound{Name: r.Name, Version: r.Version, ERTS: r.ERTS, BringsERTS: found.HasERTS, Applications: len(r.Libs), Size: r.Size}
	v.Relup.From, v.Relup.To = found.Relup.Edges()
	v.Skipped = append([]string{}, found.Skipped...)
	if root != "" {
		v.Volume = &volumeCompared{Root: root, Known: found.Known}
	}
}

// tellVerified prints what was found. A package that would be refused is no error of the command, but its answer.
func (c *cli) tellVerified(v verified, err error) error {
	switch e, status := refusal(v.Package, err); {
	case e != nil:
		c.tellRefused(e, status)
	case err != nil:
		return fmt.Errorf("cannot verify %s: %w", v.Package, err)
	case c.json:
		c.print(v)
	default:
		v.tell(c.stdout)
	}
	return nil
}

// tellRefused is for a package that is not used, where that is what was asked.
func (c *cli) tellRefused(e *api.Error, status int) {
	c.status = status
	if c.json {
		c.printError(e)
	} else {
		c.complain(e)
	}
}

// unreadable are the codes of a package of which nothing is known.
var unreadable = []string{source.CodeNoPackage, source.CodeNoSignature, source.CodeLost}

// refusal is what is said of a package that is not used, and the status of that: is it the package's, or could it not be
// read? It is nil for any other error.
func refusal(name string, err error) (*api.Error, int) {
	var told *api.Error
	var distrust *trust.Error
	var pkg *volume.PackageError
	switch {
	case errors.As(err, &told) && slices.Contains(unreadable, told.Code):
		return told, exitError
	case errors.As(err, &told):
		return told, exitRefused
	case errors.As(err, &distrust):
		return &api.Error{Code: string(distrust.Code), Message: fmt.Sprintf("cannot use %s: %v", name, distrust), Hint: distrust.Hint}, exitRefused
	case errors.As(err, &pkg):
		return &api.Error{Code: string(pkg.Code), Message: fmt.Sprintf("cannot use %s: %v", name, pkg.Err)}, exitRefused
	}
	return nil, exitDone
}

func (v verified) tell(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "package\t%s, sha256 %s\n", size(float64(v.Size)), v.SHA256)
	if v.Signature == nil {
		fmt.Fprintf(w, "signature\tnot checked: there are no keys (AGENT_PUBLIC_KEYS)\n")
	} else {
		fmt.Fprintf(w, "signature\tof key %s, which says %q\n", v.Signature.Key, v.Signature.Comment)
	}
	from := "the image's, where there is one: no erl is here to compare with"
	switch {
	case v.Release.BringsERTS:
		from = "its own"
	case v.OTP != "":
		from = "the image's, which has all that it needs"
	}
	fmt.Fprintf(w, "release\t%s %s, %d applications, %s unpacked\n", v.Release.Name, v.Release.Version, v.Release.Applications, size(float64(v.Release.Size)))
	fmt.Fprintf(w, "erts\t%s, %s\n", v.Release.ERTS, from)
	fmt.Fprintf(w, "relup\t%s\n", printable.Text(v.Relup.String()))
	if len(v.Skipped) > 0 {
		fmt.Fprintf(w, "left out\t%s: no place on a volume\n", printable.Text(strings.Join(v.Skipped, ", ")))
	}
	switch {
	case v.Volume == nil:
	case v.Volume.Known:
		fmt.Fprintf(w, "volume\t%s has this release already\n", v.Volume.Root)
	default:
		fmt.Fprintf(w, "volume\tit fits to what is on %s\n", v.Volume.Root)
	}
}

func (r relupFound) String() string {
	if len(r.From)+len(r.To) == 0 {
		return "none"
	}
	return fmt.Sprintf("from %s; back to %s", listed(r.From), listed(r.To))
}

func listed(versions []string) string {
	if len(versions) == 0 {
		return "none"
	}
	return strings.Join(versions, ", ")
}
