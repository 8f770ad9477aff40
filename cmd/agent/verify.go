package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"theseus/agent"
	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/volume"
)

// verifyFlags are those of `agent verify`.
type verifyFlags struct {
	keys, signature, sha256, volume string
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
		Use:   "verify PACKAGE",
		Short: "Check a package without an agent, and without a change to anything",
		Long: `Verify checks all of a package that can be checked without a node: its digest, its signature where keys are
configured (AGENT_PUBLIC_KEYS), the archive (AGENT_PACKAGE_LIMITS), the release in it, and whether the image has the OTP that it needs. With
--volume it also compares the package with what is on a volume, which may belong to an agent that runs. It needs no
agent, and a few kilobytes in TMPDIR.

  docker run --rm --entrypoint agent -v "$PWD:/mnt" IMAGE verify /mnt/app-1.1.0.tar.gz

EXIT STATUS
  0 the package is good · 1 it could not be checked · 2 usage · 3 it would be refused`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			config, err := agent.ConfigFrom(c.env)
			if err == nil && given[0] == "-" {
				err = errors.New("cannot verify standard input: a package is read twice, so it must be a file")
			}
			if err != nil {
				return usageError{err}
			}
			policy := config.Trust()
			if flags.keys != "" {
				policy = trust.Policy{Keys: flags.keys}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			found, err := verify(ctx, config, policy, flags, given[0])
			return c.tellVerified(found, err)
		},
	}
	cmd.Flags().StringVar(&flags.keys, "public-keys", "", "file with a minisign public key, or directory of *.pub (default AGENT_PUBLIC_KEYS)")
	cmd.Flags().StringVar(&flags.signature, "signature", "", "file with the package's minisign signature, or its text (default PACKAGE.minisig)")
	cmd.Flags().StringVar(&flags.sha256, "sha256", "", "digest that the package must have, in hex")
	cmd.Flags().StringVar(&flags.volume, "volume", "", "release root to compare with; nothing is written there")
	return cmd
}

// verify takes the steps in the order of an upgrade: nothing is unpacked of a package that is not trusted.
func verify(ctx context.Context, config agent.Config, policy trust.Policy, flags verifyFlags, path string) (verified, error) {
	v := verified{Package: path}
	if err := v.authenticate(ctx, policy, flags, config.Limits); err != nil {
		return v, err
	}
	image, err := agent.DetectImage()
	if err != nil {
		return v, err
	}
	found, err := volume.Inspect(ctx, path, v.SHA256, volume.Place{Volume: flags.volume, Image: image, Limits: config.Limits})
	if err != nil {
		return v, err
	}
	v.OTP = image.OTPRoot
	r := found.Release
	v.Release = releaseFound{Name: r.Name, Version: r.Version, ERTS: r.ERTS, BringsERTS: found.HasERTS, Applications: len(r.Libs), Size: r.Size}
	v.Relup.From, v.Relup.To = found.Relup.Edges()
	v.Skipped = append([]string{}, found.Skipped...)
	if flags.volume != "" {
		v.Volume = &volumeCompared{Root: flags.volume, Known: found.Known}
	}
	return v, nil
}

// authenticate reads the package once, for its digest and its signature.
func (v *verified) authenticate(ctx context.Context, policy trust.Policy, flags verifyFlags, limits volume.Limits) error {
	signature, err := findSignature(v.Package, flags.signature)
	if err != nil {
		return err
	}
	file, err := openPackage(v.Package)
	if err != nil {
		return err
	}
	defer file.Close()
	switch info, err := file.Stat(); {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("cannot read the package: %s is no file", v.Package)
	case info.Size() > limits.PackageBytes:
		return limits.TooLarge()
	}
	signed, err := policy.Open(file, signature)
	if err != nil {
		return err
	}
	sum := sha256.New()
	if v.Size, err = io.Copy(sum, untilDone{ctx, signed}); err != nil {
		return err
	}
	v.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if want := strings.ToLower(flags.sha256); want != "" && want != v.SHA256 {
		return &api.Error{Code: "wrong-digest", Message: fmt.Sprintf("cannot use %s: its sha256 is %s, not %s", v.Package, v.SHA256, want)}
	}
	signer, err := signed.Signer()
	if err == nil && policy.Required() {
		v.Signature = &signatureFound{Key: signer.Key, Comment: signer.Comment}
	}
	return err
}

// untilDone ends at the first read after its context has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// tellVerified prints what was found. A package that would be refused is no error of the command, but its answer.
func (c *cli) tellVerified(v verified, err error) error {
	e, refused := refusal(v.Package, err)
	switch {
	case refused && c.json:
		c.printError(e)
	case refused:
		c.complain(e)
	case err != nil:
		return fmt.Errorf("cannot verify %s: %w", v.Package, err)
	case c.json:
		c.print(v)
	default:
		v.tell(c.stdout)
	}
	if refused {
		c.status = exitRefused
	}
	return nil
}

// refusal says whether the package itself is the reason.
func refusal(path string, err error) (*api.Error, bool) {
	var told *api.Error
	var distrust *trust.Error
	var pkg *volume.PackageError
	switch {
	case errors.As(err, &told):
		return told, true
	case errors.As(err, &distrust):
		return &api.Error{Code: string(distrust.Code), Message: fmt.Sprintf("cannot use %s: %v", path, distrust), Hint: distrust.Hint}, true
	case errors.As(err, &pkg):
		return &api.Error{Code: string(pkg.Code), Message: fmt.Sprintf("cannot use %s: %v", path, pkg.Err)}, true
	}
	return nil, false
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
	fmt.Fprintf(w, "relup\t%s\n", printable(v.Relup.String()))
	if len(v.Skipped) > 0 {
		fmt.Fprintf(w, "left out\t%s: no place on a volume\n", printable(strings.Join(v.Skipped, ", ")))
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
