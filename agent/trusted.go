package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/volume"
)

// Downgrade says whether an upgrade may lead to an older version. A rollback always may.
type Downgrade string

// The policies.
const (
	DowngradeUnset  Downgrade = ""       // allow, or refuse where signatures are needed: an old package has a good one
	DowngradeAllow  Downgrade = "allow"  // as any other upgrade
	DowngradeRefuse Downgrade = "refuse" // unless the request allows it
)

func downgrade(c *Config, value string) error {
	c.Downgrade = Downgrade(value)
	if !slices.Contains([]Downgrade{DowngradeUnset, DowngradeAllow, DowngradeRefuse}, c.Downgrade) {
		return errors.New("it is none of allow, refuse")
	}
	return nil
}

// RefusesDowngrade says whether a package of an older version needs a word of its own; with keys it does.
func (c Config) RefusesDowngrade() bool {
	return c.Downgrade == DowngradeRefuse || c.Downgrade == DowngradeUnset && c.PublicKeys != ""
}

// publicKeys only looks at the form: the keys are read for each package, and a file that is missing must not keep
// the node from its boot.
func publicKeys(c *Config, value string) error {
	if value == "" {
		return nil
	}
	if !filepath.IsAbs(value) {
		return errors.New("it is no absolute path")
	}
	c.PublicKeys = filepath.Clean(value)
	return nil
}

func seedSignature(c *Config, value string) error {
	c.SignedSeed = value == "required"
	if !slices.Contains([]string{"ignored", "required"}, value) {
		return errors.New("it is none of ignored, required")
	}
	return nil
}

// Trust is whose packages may be installed.
func (c Config) Trust() trust.Policy { return trust.Policy{Keys: c.PublicKeys, Volume: c.Volume} }

// checkKeys tells at once what would only be told to the next upgrade.
func (a *agent) checkKeys() {
	if err := a.config.Trust().Check(); err != nil {
		a.journal.record(api.Event{
			Time: time.Now(), Kind: "keys.unusable", Message: "the keys of AGENT_PUBLIC_KEYS cannot be used: " + err.Error(),
			Error: &api.Error{Code: string(trust.UnusableKeys), Message: err.Error(), State: "every upgrade is refused"},
		})
	}
}

// receiveSeed keeps the image's package on the volume, and finds out who signed it where that has to be known.
func (a *agent) receiveSeed(ctx context.Context, path string) (pkg volume.Package, signer volume.Signer, err error) {
	var policy trust.Policy
	var signature string
	if a.config.SignedSeed {
		policy = a.config.Trust()
		text, err := trust.ReadSignature(path + trust.Suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return pkg, signer, fmt.Errorf("cannot read its signature: %w", err)
		}
		signature = text
	}
	file, err := os.Open(path)
	if err != nil {
		return pkg, signer, err
	}
	defer file.Close()
	signed, err := policy.Open(file, signature)
	if err != nil {
		return pkg, signer, err
	}
	if pkg, err = a.volume.Receive(ctx, signed, nil); err != nil {
		return pkg, signer, err
	}
	by, err := signed.Signer()
	if err != nil {
		err = errors.Join(err, a.volume.Discard(pkg))
	}
	return pkg, volume.Signer(by), err
}
