package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
)

const (
	from     = images.Seed
	to       = images.Second
	patience = 60 * time.Second
)

// variant is a set of packages; every one holds the same service.
type variant struct {
	name string
	dir  string // demo-1.0.0.tar.gz and demo-1.1.0.tar.gz
}

// rig is what all contenders share: images, packages, and the list of containers that run now.
type rig struct {
	cfg     config
	session *docker.Session
	demo    *images.Set
	relx    string // image whose tag is followed by the version in it
	nginx   string
	mix     string // image of a Mix release
	tools   string // directory with the timer
	thin    variant
	full    variant // with ERTS, OTP's applications and relx's extended start script
	large   variant // full, and 40 MB that do not compress

	mu      sync.Mutex
	running []*docker.Container
	started int
}

func prepare(ctx context.Context, session *docker.Session, cfg config, out io.Writer) (*rig, error) {
	root, err := images.Root()
	if err != nil {
		return nil, err
	}
	work := filepath.Join(root, "build", "bench", cfg.otp)
	r := &rig{
		cfg: cfg, session: session, relx: "theseus-bench-relx:" + cfg.otp + "-", nginx: "theseus-bench-nginx", mix: "theseus-bench-mix",
		tools: filepath.Join(work, "tools"),
		full:  variant{"full package", filepath.Join(work, "full")},
		large: variant{"40 MB package", filepath.Join(work, "large")},
	}
	if r.demo, err = images.Prepare(ctx, session, cfg.otp, out); err != nil {
		return nil, err
	}
	r.thin = variant{"thin package", filepath.Dir(r.demo.Package(from))}
	return r, errors.Join(r.buildPackages(ctx, root, out), r.buildImages(ctx, root, out), r.buildTimer(ctx, root))
}

// buildPackages makes the packages with everything inside by the demo's own build script, in the image
// that Dockerfile.example builds packages in.
func (r *rig) buildPackages(ctx context.Context, root string, out io.Writer) error {
	if err := os.MkdirAll(r.full.dir, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "docker", "run", "--rm", "-e", "FULL=1",
		"-v", filepath.Join(root, "integration", "demo")+":/src:ro", "-v", r.full.dir+":/out",
		"erlang:"+r.cfg.otp, "/src/build.sh", "/out")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot build the full packages: %w", err)
	}
	return padPackage(r.full.path(to), r.large.path(to))
}

func (v variant) path(version string) string {
	return filepath.Join(v.dir, "demo-"+version+".tar.gz")
}

func (r *rig) buildImages(ctx context.Context, root string, out io.Writer) error {
	here := filepath.Join(root, "bench", "upgrade")
	var errs []error
	for _, version := range []string{from, to} {
		errs = append(errs, docker.Build{
			Dir: r.full.dir, File: filepath.Join(here, "relx.Dockerfile"), Tag: r.relx + version,
			Args: map[string]string{"OTP": r.cfg.otp, "VERSION": version},
		}.Run(ctx, out))
	}
	errs = append(errs, docker.Build{Dir: here, File: "nginx.Dockerfile", Tag: r.nginx}.Run(ctx, out))
	if r.cfg.calls > 0 {
		errs = append(errs, r.buildMix(ctx, root, out))
	}
	return errors.Join(errs...)
}

// buildTimer makes a static program, because it runs inside the containers.
func (r *rig) buildTimer(ctx context.Context, root string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(r.tools, "timer"), "./bench/upgrade/timer")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the timer: %w: %s", err, out)
	}
	return nil
}

// start runs a container that counts as part of the contender from now on.
func (r *rig) start(ctx context.Context, image string, options ...string) (*docker.Container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started++
	c, err := r.session.Start(ctx, docker.Spec{
		Image: image, Name: fmt.Sprint(r.started), Options: append(options, "-v", r.tools+":/tools:ro"),
	})
	if err == nil {
		r.running = append(r.running, c)
	}
	return c, err
}

func (r *rig) containers() []*docker.Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*docker.Container(nil), r.running...)
}

// clear removes all containers and volumes of one run.
func (r *rig) clear(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = nil
	return r.session.Close(ctx)
}
