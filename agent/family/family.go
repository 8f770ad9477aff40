// Package family knows the kinds of release, and what of a release's configuration is open until its node's environment
// is known: rebar3 and relx leave templates, mix leaves programs. What runs at last is always an erlexec of the agent's.
package family

import (
	"context"
	"os"
	"path/filepath"
)

// Release is a release on a volume.
type Release struct {
	Name, Version, ERTS string
	Root                string // of the volume, absolute
	Dir                 string // releases/<version>, absolute
}

// Family is a kind of release. The environment is that of the node, and never of whoever asks for something.
type Family interface {
	// Environ is the environment of the release's node, from the agent's own.
	Environ(ctx context.Context, r Release, base []string) ([]string, error)
	// Resolve fills in what the package has left open. It changes nothing on the volume.
	Resolve(ctx context.Context, r Release, environ []string) (Resolved, error)
}

// Resolved is a release's configuration with everything filled in.
type Resolved struct {
	Files []File   // those that the package does not bring as they are
	Unset []string // variables without a value and without a default: they were taken for empty
}

// File is one of the release's directory.
type File struct {
	Name    string // "sys.config"
	Content []byte
}

// Of finds the family of a release by its files.
func Of(Release) Family { return otp{} }

// read returns a file of the release's directory, and whether it is there.
func (r Release) read(name string) (content []byte, there bool, err error) {
	content, err = os.ReadFile(filepath.Join(r.Dir, name))
	if os.IsNotExist(err) {
		return nil, false, nil
	}
	return content, err == nil, err
}
