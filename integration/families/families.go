// Package families is the matrix of releases: every tool that makes them, on every OTP, through the same life under the
// agent. What is released is the counter in tally, in two versions, with a state that changes and a setting.
package families

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"theseus/integration/docker"
	"theseus/integration/images"
)

// Versions of every family.
const (
	First  = "1.0.0"
	Second = "1.1.0"
)

// Family is one way in which releases are made, and what can be asked of one.
type Family struct {
	Name    string
	Made    string            // by what, in a line
	Environ []string          // of the container, NAME=VALUE
	Not     map[string]string // OTP versions on which it is not made, and why
	// Packages puts NAME-1.0.0.tar.gz and NAME-1.1.0.tar.gz, built on this OTP, into dir. Nothing is built twice.
	Packages func(ctx context.Context, s *docker.Session, otp, dir string) error
	Asks     Asks
}

// Asks are questions to the application, each as arguments of agent rpc, and what is to be answered.
type Asks struct {
	Add   []string // puts something into the state
	State []string
	Place []string
	// Answers to State after one Add, by the version that the state was made for, and to Place in both.
	States map[string]string
	Here   string
}

// All are the families of tally. The later package of each has a relup from the first, and back.
func All() []Family {
	return []Family{
		tally("relx", "rebar3 tar, with the runtime inside", "the harbour"),
		tally("relx-thin", "rebar3 tar, include_erts and system_libs false: the image's runtime", "the harbour"),
		tally("relx-src", "rebar3 tar, sys.config.src and vm.args.src: the setting and the node's name are the container's", "the open sea",
			"TALLY_PLACE=the open sea", "TALLY_NODE=pearl"),
		tally("systools", "make_script, make_relup, make_tar, as OTP's target_system", "the harbour"),
		tally("reltool", "reltool:create_target, with sys.config and relup laid into it", "the harbour"),
	}
}

func tally(name, made, place string, environ ...string) Family {
	return Family{
		Name: name, Made: made, Environ: environ,
		Packages: func(ctx context.Context, s *docker.Session, otp, dir string) error {
			return packages(ctx, s, name, otp, dir)
		},
		Asks: Asks{
			Add:    []string{"tally", "add", "[3]"},
			State:  []string{"tally", "state"},
			Place:  []string{"application", "get_env", "[tally,place]"},
			States: map[string]string{First: "{sum,3}", Second: "{sum,3,times,0}"},
			Here:   fmt.Sprintf("{ok,%q}", place),
		},
	}
}

// building holds off a second build of what the first one is about to cache.
var building sync.Mutex

// packages builds those of all families of one OTP in an image, which stays as the cache.
func packages(ctx context.Context, s *docker.Session, name, otp, dir string) error {
	root, err := images.Root()
	if err != nil {
		return err
	}
	build := docker.Build{
		Dir: filepath.Join(root, "integration"), File: "families/Dockerfile", Args: map[string]string{"OTP": otp},
		Tag: cmp.Or(os.Getenv("AGENT_TEST_IMAGE"), "theseus-demo") + "-families:" + otp,
	}
	building.Lock()
	defer building.Unlock()
	var progress bytes.Buffer
	if err := build.Run(ctx, &progress); err != nil {
		return fmt.Errorf("%w\n%s", err, progress.String())
	}
	for _, version := range []string{First, Second} {
		pkg := name + "-" + version + ".tar.gz"
		if err := s.CopyOut(ctx, build.Tag, "/packages/"+pkg, filepath.Join(dir, pkg)); err != nil {
			return err
		}
	}
	return nil
}
