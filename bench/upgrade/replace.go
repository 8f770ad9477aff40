package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"theseus/integration/docker"
	"theseus/integration/load"
)

// drain is how long the old generation may go on serving its connections before it is stopped. A
// session has no end of its own, so that any bound ends it.
const drain = 5 * time.Second

// blueGreen is two generations of containers behind nginx.
type blueGreen struct {
	rig   *rig
	proxy *docker.Container
	ip    string
	blue  *node
}

func startBlueGreen(ctx context.Context, r *rig, _ variant) (service, error) {
	blue, err := r.node(ctx, r.relx+from)
	if err != nil {
		return nil, err
	}
	proxy, err := r.start(ctx, r.nginx)
	if err != nil {
		return nil, err
	}
	b := &blueGreen{rig: r, proxy: proxy, blue: blue}
	if b.ip, err = proxy.IP(ctx); err != nil {
		return nil, err
	}
	if err := b.pointAt(ctx, blue); err != nil {
		return nil, err
	}
	return b, proxy.Await(ctx, "the proxied service", patience, func(ctx context.Context) error {
		_, err := fetch(ctx, b.ip, "/health")
		return err
	})
}

func (b *blueGreen) address() string { return b.ip }

// pointAt writes nginx's configuration and has it take effect.
func (b *blueGreen) pointAt(ctx context.Context, n *node) error {
	status, err := b.proxy.Exec(ctx, docker.Exec{
		Args:  []string{"sh", "-ec", "sed s/SERVICE/$0/ /etc/nginx/template.conf > /etc/nginx/nginx.conf && nginx -s reload", n.ip},
		Stdin: strings.NewReader(""),
	})
	if err == nil && status != 0 {
		err = fmt.Errorf("cannot reload nginx: exit status %d", status)
	}
	return err
}

func (b *blueGreen) deploy(ctx context.Context) (time.Duration, error) {
	return timed(ctx, b.replace)
}

func (b *blueGreen) replace(ctx context.Context) error {
	green, err := b.rig.node(ctx, b.rig.relx+to)
	if err != nil {
		return err
	}
	if err := b.pointAt(ctx, green); err != nil {
		return err
	}
	if err := load.Pause(ctx, drain); err != nil {
		return err
	}
	return b.blue.Stop(ctx, stopGrace)
}

const stopGrace = 10 * time.Second

// restart stops the old container and starts the new one at the same address, which a third container
// holds for them.
type restart struct {
	rig    *rig
	holder *docker.Container
	ip     string
	old    *docker.Container
}

func startRestart(ctx context.Context, r *rig, _ variant) (service, error) {
	holder, err := r.start(ctx, r.nginx)
	if err != nil {
		return nil, err
	}
	ip, err := holder.IP(ctx)
	if err != nil {
		return nil, err
	}
	s := &restart{rig: r, holder: holder, ip: ip}
	s.old, err = s.generation(ctx, from)
	return s, err
}

func (s *restart) address() string { return s.ip }

func (s *restart) generation(ctx context.Context, version string) (*docker.Container, error) {
	c, err := s.rig.start(ctx, s.rig.relx+version, "--network", "container:"+s.holder.ID)
	if err != nil {
		return nil, err
	}
	return c, c.Await(ctx, "a healthy service", patience, func(ctx context.Context) error {
		_, err := fetch(ctx, s.ip, "/health")
		return err
	})
}

func (s *restart) deploy(ctx context.Context) (time.Duration, error) {
	return timed(ctx, s.replace)
}

func (s *restart) replace(ctx context.Context) error {
	if err := s.old.Stop(ctx, stopGrace); err != nil {
		return err
	}
	_, err := s.generation(ctx, to)
	return err
}

func timed(ctx context.Context, act func(context.Context) error) (time.Duration, error) {
	start := time.Now()
	err := act(ctx)
	return time.Since(start), err
}
