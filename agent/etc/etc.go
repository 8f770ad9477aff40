// Package etc reads the files that an image has for the agent in /etc/agent: the gates, and the sources beside those that are built
// in, and the public keys. It is the only package that knows TOML. What such a file says is trusted, so neither it nor a program that it
// names may be where the node can write, or be what others may write.
package etc

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"theseus/agent/plugin/host"
)

// Where an image has the files; these may be missing.
const (
	Gates   = "/etc/agent/gates.toml"
	Sources = "/etc/agent/sources.toml"
)

// Decode names the line of what it does not know.
func Decode(text []byte, into any) error {
	return located(toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(into))
}

func located(err error) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		var errs []error
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			errs = append(errs, fmt.Errorf("line %d: there is no key %s", line, strings.Join(e.Key(), ".")))
		}
		return errors.Join(errs...)
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return err
}

// Plugin is the table of one, in either file.
type Plugin struct {
	Path   string            `toml:"path"`
	SHA256 string            `toml:"sha256"`
	MTLS   *bool             `toml:"mtls"` // nil: it speaks TLS
	Config map[string]string `toml:"config"`
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Order is what is common to all that the plugin is asked, or says what is wrong with the table.
func (p Plugin) Order(volume string) (host.Order, error) {
	switch {
	case !filepath.IsAbs(p.Path):
		return host.Order{}, fmt.Errorf("cannot use path=%q: it is no absolute path", p.Path)
	case !digestForm.MatchString(p.SHA256):
		return host.Order{}, fmt.Errorf("cannot use sha256=%q: it is no digest of 64 hexadecimal digits; agent plugin check %s prints it", p.SHA256, p.Path)
	}
	file, err := openTrusted(p.Path, volume)
	if err != nil {
		return host.Order{}, err
	}
	return host.Order{
		Config:  p.Config,
		Program: host.Program{Path: p.Path, SHA256: p.SHA256, Plain: p.MTLS != nil && !*p.MTLS},
	}, file.Close()
}
