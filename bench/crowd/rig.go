package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/load"
	"theseus/integration/repack"
)

const (
	written  = "demo-1.0.1.tar.gz"
	bare     = "demo-1.0.1-bare.tar.gz" // the same without relup and appups
	patience = 2 * time.Minute
)

// rig is what both relups share.
type rig struct {
	cfg     config
	session *docker.Session
	demo    *images.Set
	dir     string // packages and the load
}

func prepare(ctx context.Context, session *docker.Session, cfg config) (*rig, error) {
	root, err := images.Root()
	if err != nil {
		return nil, err
	}
	r := &rig{cfg: cfg, session: session, dir: filepath.Join(root, "build", "bench", cfg.otp, "crowd")}
	if r.demo, err = images.Prepare(ctx, session, cfg.otp, os.Stderr); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, err
	}
	if err := r.run(ctx, nil, "docker", "run", "--rm",
		"-v", filepath.Join(root, "integration", "demo")+":/demo:ro", "-v", filepath.Join(root, "bench", "crowd")+":/crowd:ro", "-v", r.dir+":/out",
		"erlang:"+cfg.otp, "sh", "-ec", `cp -R /demo /src && cp -R /crowd/1.0.1 /src && VERSIONS="1.0.0 1.0.1" /src/build.sh /out`); err != nil {
		return nil, fmt.Errorf("cannot build the packages: %w", err)
	}
	if err := r.run(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-C", root, "-o", filepath.Join(r.dir, "load"), "./bench/crowd/load"); err != nil {
		return nil, fmt.Errorf("cannot build the load: %w", err)
	}
	return r, repack.File(filepath.Join(r.dir, written), filepath.Join(r.dir, bare), withoutRelup)
}

func (r *rig) run(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), os.Stderr, os.Stderr
	return cmd.Run()
}

func withoutRelup(name string, content []byte) (string, []byte) {
	if path.Base(name) == "relup" || path.Ext(name) == ".appup" {
		return "", nil
	}
	return name, content
}

// sample is one upgrade.
type sample struct {
	connected                int // sessions with a connection
	longest, before, command time.Duration
	report                   *load.Report
}

func (s sample) String() string {
	return fmt.Sprintf("%d connected, longest echo %v, before %v, command %v, failed %d, dropped %d, lost %d",
		s.connected, s.longest, s.before, s.command, s.report.Total.Failed, s.report.Total.Dropped, s.report.Total.Lost)
}

func (r *rig) measure(ctx context.Context, c contender) (s sample, err error) {
	service, err := r.serve(ctx)
	if err != nil {
		return s, err
	}
	if s.connected, err = r.fill(ctx, service); err != nil {
		return s, err
	}
	crowd, err := gather(ctx, service, s.connected, r.cfg.rate/float64(s.connected))
	if err != nil {
		return s, err
	}
	err = load.Pause(ctx, r.cfg.quiet)
	if err == nil {
		crowd.mark("upgrade")
		begun := time.Now()
		_, err = service.Output(ctx, append([]string{"agent", "upgrade", "/crowd/" + c.pkg, "--settle", "0s"}, c.flags...)...)
		s.command = time.Since(begun)
	}
	if err == nil {
		err = load.Pause(ctx, r.cfg.quiet)
	}
	report, left := crowd.leave()
	if err == nil {
		err = left
	}
	if err != nil {
		return s, err
	}
	s.report, s.before, s.longest = report, report.Phases[0].LongestPause, report.Phases[1].LongestPause
	return s, r.session.Close(ctx)
}

// spare is how many files a node has open beside its sessions' sockets, at most.
const spare = 500

// fill starts the sessions for which there are no files, and returns how many can be connected.
func (r *rig) fill(ctx context.Context, service *docker.Container) (connected int, err error) {
	out, err := service.Output(ctx, "sh", "-c", "ulimit -n")
	if err != nil {
		return 0, err
	}
	connected = r.cfg.sessions
	if limit, err := strconv.Atoi(strings.TrimSpace(out)); err == nil {
		connected = min(connected, limit-spare)
	}
	_, err = service.Output(ctx, "agent", "eval", "--timeout", "1m", "--lang", "erlang",
		fmt.Sprintf("[{ok, _} = supervisor:start_child(demo_session_sup, [none]) || _ <- lists:seq(1, %d)], ok.", r.cfg.sessions-connected))
	return connected, err
}

// serve runs 1.0.0 on a new volume, with ports for all of its clients.
func (r *rig) serve(ctx context.Context) (*docker.Container, error) {
	volume, err := r.session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	c, err := r.session.Start(ctx, docker.Spec{Image: r.demo.Image, Name: "service", Options: []string{
		"--sysctl", "net.ipv4.ip_local_port_range=1024 65535",
		"-v", volume + ":/var/lib/release", "-v", r.dir + ":/crowd:ro",
	}})
	if err != nil {
		return nil, err
	}
	return c, c.Await(ctx, "a healthy service", patience, func(ctx context.Context) error {
		out, err := c.Output(ctx, "agent", "health")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(out))
		}
		return err
	})
}
