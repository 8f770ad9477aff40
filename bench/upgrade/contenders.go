package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"theseus/integration/docker"
)

// service is the demo service in version 1.0.0, set up in one contender's way.
type service interface {
	address() string // of the machine that clients connect to
	// deploy brings version 1.1.0 into service and returns how long the operator's command took.
	deploy(context.Context) (time.Duration, error)
}

// contender is one way to bring a new version into service.
type contender struct {
	name    string
	variant func(*rig) variant
	start   func(context.Context, *rig, variant) (service, error)
}

func contenders() []contender {
	thin := func(r *rig) variant { return r.thin }
	full := func(r *rig) variant { return r.full }
	large := func(r *rig) variant { return r.large }
	return []contender{
		{"agent", thin, startAgent},
		{"agent, unwatched", thin, startUnwatched},
		{"agent, unwatched", full, startUnwatched},
		{"agent, unwatched", large, startUnwatched},
		{"relx script", full, startRelx},
		{"relx script", large, startRelx},
		{"bare install_release", full, startBare},
		{"nginx blue-green", full, startBlueGreen},
		{"plain restart", full, startRestart},
	}
}

func (c contender) label(r *rig) string { return c.name + ", " + c.variant(r).name }

// node is a service in one container.
type node struct {
	*docker.Container
	ip      string
	command []string
}

func (n *node) address() string { return n.ip }

// deploy times the command inside the container, as the latencies of commands are timed.
func (n *node) deploy(ctx context.Context) (time.Duration, error) {
	times, err := timeCommand(ctx, n.Container, 1, n.command)
	if err != nil {
		return 0, err
	}
	return times[0], nil
}

func (r *rig) node(ctx context.Context, image string, options ...string) (*node, error) {
	c, err := r.start(ctx, image, options...)
	if err != nil {
		return nil, err
	}
	ip, err := c.IP(ctx)
	if err != nil {
		return nil, err
	}
	n := &node{Container: c, ip: ip}
	return n, n.Await(ctx, "a healthy service", patience, func(ctx context.Context) error {
		_, err := fetch(ctx, ip, "/health")
		return err
	})
}

// startAgent runs the example image on a volume. Its seed is of the same kind as the package to come.
func startAgent(ctx context.Context, r *rig, v variant) (service, error) {
	volume, err := r.session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	options := []string{"-v", volume + ":/var/lib/release", "-v", v.dir + ":/packages:ro"}
	if v != r.thin {
		options = append(options, "-v", r.full.path(from)+":/usr/share/agent/seed/demo-"+from+".tar.gz:ro")
	}
	n, err := r.node(ctx, r.demo.Image, options...)
	if err != nil {
		return nil, err
	}
	n.command = []string{"agent", "upgrade", "/packages/demo-" + to + ".tar.gz"}
	return n, nil
}

// startUnwatched has the agent make the release permanent as soon as it runs, as the other contenders do;
// by itself it watches a new release for two seconds first.
func startUnwatched(ctx context.Context, r *rig, v variant) (service, error) {
	s, err := startAgent(ctx, r, v)
	if err != nil {
		return nil, err
	}
	n := s.(*node)
	n.command = append(n.command, "--settle", "0s")
	return n, nil
}

// startRelx runs the release as relx made it, on a volume as well. The package lies where the script
// looks for it before the clock starts.
func startRelx(ctx context.Context, r *rig, v variant) (service, error) {
	volume, err := r.session.Volume(ctx, "release")
	if err != nil {
		return nil, err
	}
	n, err := r.node(ctx, r.relx+from, "-v", volume+":/opt/demo", "-v", v.dir+":/packages:ro")
	if err != nil {
		return nil, err
	}
	n.command = []string{"bin/demo", "upgrade", to}
	_, err = n.Output(ctx, "sh", "-ec", "mkdir -p releases/"+to+" && cp /packages/demo-"+to+".tar.gz releases/"+to+"/demo.tar.gz")
	return n, err
}

// startBare measures nothing but release_handler itself: the release is unpacked beforehand, and a small
// C program asks for the installation.
func startBare(ctx context.Context, r *rig, v variant) (service, error) {
	s, err := startRelx(ctx, r, v)
	if err != nil {
		return nil, err
	}
	n := s.(*node)
	if _, err := n.erlCall(ctx, "release_handler unpack_release [\""+to+"/demo\"]"); err != nil {
		return nil, err
	}
	n.command = n.erlCallCommand(`release_handler install_release ["` + to + `"]`)
	return n, nil
}

func (n *node) erlCallCommand(apply string) []string {
	return []string{"erl_call", "-name", nodeName, "-c", cookie, "-a", apply}
}

func (n *node) erlCall(ctx context.Context, apply string) (string, error) {
	out, err := n.Output(ctx, n.erlCallCommand(apply)...)
	if err == nil && strings.HasPrefix(out, "{error") {
		err = fmt.Errorf("cannot call %s: %s", apply, out)
	}
	return out, err
}
