// Package mixdemo is a small service that mix makes, in four kinds of release and two versions each, for the tests: what
// mix.exs, runtime.exs, env.sh and protocols bring about is seen nowhere else.
package mixdemo

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"

	"theseus/integration/docker"
	"theseus/integration/images"
)

// Kind is a kind of release.
type Kind string

// The kinds.
const (
	Stock    Kind = "stock"    // with a runtime.exs
	Plain    Kind = "plain"    // without any configuration of the runtime
	Umbrella Kind = "umbrella" // of two applications
	Castle   Kind = "castle"   // stock, with the files that Forecastle adds
)

// Kinds are all of them.
var Kinds = []Kind{Stock, Plain, Umbrella, Castle}

// Versions of the service; the first is the seed in the images.
const (
	Seed   = "1.0.0"
	Second = "1.1.0"
)

// Set is what one OTP version needs.
type Set struct {
	OTP            string
	name, packages string
}

// Image is the image with the seed of a kind. Its environment has MIXDEMO_PORT=7777.
func (s *Set) Image(k Kind) string { return s.name + "-mix-" + string(k) + ":" + s.OTP }

// Package returns the path of a package on this machine.
func (s *Set) Package(k Kind, version string) string {
	return filepath.Join(s.packages, string(k), "mixdemo-"+version+".tar.gz")
}

// Prepare builds the packages, and the images of some kinds, from the root of the module. AGENT_TEST_IMAGE names the images as it
// does those of package images.
func Prepare(ctx context.Context, session *docker.Session, otp string, out io.Writer, kinds ...Kind) (*Set, error) {
	root, err := images.Root()
	if err != nil {
		return nil, err
	}
	if err := images.Bases(ctx, root, otp, out); err != nil {
		return nil, err
	}
	s := &Set{
		OTP: otp, name: cmp.Or(os.Getenv("AGENT_TEST_IMAGE"), "theseus-demo"),
		packages: filepath.Join(root, "build", "packages", "mix-"+otp),
	}
	build := docker.Build{Dir: root, File: "integration/mixdemo/Dockerfile"}
	for _, k := range kinds {
		build.Args, build.Tag = map[string]string{"OTP": otp, "KIND": string(k)}, s.Image(k)
		if err := build.Run(ctx, out); err != nil {
			return nil, err
		}
	}
	build.Target, build.Tag = "packages", s.name+"-mix-packages:"+otp
	if err := build.Run(ctx, out); err != nil {
		return nil, err
	}
	return s, s.copyPackages(ctx, session, build.Tag)
}

// copyPackages puts each package into place by a rename, because another run may be reading the one there.
func (s *Set) copyPackages(ctx context.Context, session *docker.Session, image string) error {
	if err := os.MkdirAll(s.packages, 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(s.packages, "fresh-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := session.CopyOut(ctx, image, "/packages/.", fresh); err != nil {
		return err
	}
	for _, k := range Kinds {
		for _, version := range []string{Seed, Second} {
			place := s.Package(k, version)
			if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
				return err
			}
			if err := os.Rename(filepath.Join(fresh, string(k), filepath.Base(place)), place); err != nil {
				return err
			}
		}
	}
	return nil
}
