// Package images builds what the integration tests, the demo and the benchmarks run: the demo service in
// the image of Dockerfile.example, and the release packages of its later versions.
package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"theseus/integration/docker"
)

// Versions of the demo service; the first is the seed in the image.
const (
	Seed   = "1.0.0"
	Second = "1.1.0"
	Third  = "1.2.0"
)

// Set is what one OTP version needs.
type Set struct {
	OTP      string
	Image    string // Dockerfile.example, as a user builds it
	packages string
}

// Package returns the path of the demo service's package of a version on this machine.
func (s *Set) Package(version string) string {
	return filepath.Join(s.packages, "demo-"+version+".tar.gz")
}

// Prepare builds, from the root of the module, everything of one OTP version that is not there yet. The
// base images are pulled, or made from Debian's packages where no registry answers. Progress goes to out.
// AGENT_TEST_IMAGE names the image, for several checkouts on one machine; it is theseus-demo unless set.
func Prepare(ctx context.Context, s *docker.Session, otp string, out io.Writer) (*Set, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	if err := Bases(ctx, root, otp, out); err != nil {
		return nil, err
	}
	image := cmp.Or(os.Getenv("AGENT_TEST_IMAGE"), "theseus-demo")
	set := &Set{OTP: otp, Image: image + ":" + otp, packages: filepath.Join(root, "build", "packages", otp)}
	build := docker.Build{Dir: root, File: "Dockerfile.example", Args: map[string]string{"OTP": otp}, Tag: set.Image}
	if err := build.Run(ctx, out); err != nil {
		return nil, err
	}
	build.Target, build.Tag = "packages", image+"-packages:"+otp
	if err := build.Run(ctx, out); err != nil {
		return nil, err
	}
	return set, set.copyPackages(ctx, s, build.Tag)
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
	for _, version := range []string{Seed, Second, Third} {
		name := filepath.Base(s.Package(version))
		if err := os.Rename(filepath.Join(fresh, name), s.Package(version)); err != nil {
			return err
		}
	}
	return nil
}

// Bases provides the base images of one OTP version under their official names.
func Bases(ctx context.Context, root, otp string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "integration", "otp", "build.sh"), otp)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot provide the base images of OTP %s: %w", otp, err)
	}
	return nil
}

// Root finds the directory of go.mod above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("cannot find go.mod above the working directory")
		}
	}
}
