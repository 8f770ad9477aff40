package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"theseus/integration/load"
)

// sample is one upgrade of one contender.
type sample struct {
	report  *load.Report
	command time.Duration // that brought the new version into service
	serving time.Duration // from the command to the first answer of the new version
	extra   int64         // bytes of anonymous memory above what the service held before
}

// result is all runs of one contender.
type result struct {
	contender
	label string
	runs  []sample
}

// measureAll lets each contender have its turn in every round, so that a busy moment of the machine does
// not fall on one of them alone.
func measureAll(ctx context.Context, r *rig, progress io.Writer) ([]*result, error) {
	var all []*result
	for _, c := range contenders() {
		if label := c.label(r); strings.Contains(label, r.cfg.only) {
			all = append(all, &result{contender: c, label: label})
		}
	}
	for round := range r.cfg.rounds {
		for _, res := range all {
			one, err := measure(ctx, r, res.contender)
			if err != nil {
				return nil, fmt.Errorf("cannot measure %s: %w", res.label, err)
			}
			fmt.Fprintf(progress, "round %d: %s: %v, serving after %v, failed %v, pause %v\n", round+1, res.label,
				one.command, one.serving, one.report.Total.Failures, one.report.Total.LongestPause)
			res.runs = append(res.runs, *one)
		}
	}
	return all, nil
}

func measure(ctx context.Context, r *rig, c contender) (*sample, error) {
	s, err := c.start(ctx, r, c.variant(r))
	if err == nil {
		var one *sample
		if one, err = upgradeUnderLoad(ctx, r, s); err == nil {
			return one, r.clear(ctx)
		}
	}
	r.clear(context.WithoutCancel(ctx))
	return nil, err
}

func upgradeUnderLoad(ctx context.Context, r *rig, s service) (*sample, error) {
	cfg := r.cfg.load
	cfg.HTTP, cfg.TCP = s.address()+":8080", s.address()+":7000"
	clients, err := load.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	one := &sample{}
	err = load.Pause(ctx, r.cfg.quiet)
	if err == nil {
		clients.Mark("upgrade")
		err = one.deploy(ctx, r, s)
	}
	if err == nil {
		err = load.Pause(ctx, r.cfg.quiet)
	}
	one.report = clients.Stop()
	return one, err
}

// deploy has the service upgraded while one watcher asks for its version and another for its memory.
func (one *sample) deploy(ctx context.Context, r *rig, s service) error {
	watching, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	before := anonymous(r.containers())
	peak := before
	watchers.Go(func() { watchMemory(watching, r, &peak) })
	start := time.Now()
	served := make(chan time.Duration, 1)
	watchers.Go(func() { watchVersion(watching, s.address(), start, served) })

	var err error
	if one.command, err = s.deploy(ctx); err == nil {
		one.serving, err = within(ctx, served)
	}
	stop()
	watchers.Wait()
	one.extra = peak - before
	return err
}

func within(ctx context.Context, served <-chan time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case d := <-served:
		return d, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("cannot see version %s serving: %w", to, ctx.Err())
	}
}

// watchVersion asks on a new connection each time, so that it never stays with an old generation.
func watchVersion(ctx context.Context, ip string, start time.Time, served chan<- time.Duration) {
	every(ctx, 10*time.Millisecond, func() bool {
		got, err := fetch(ctx, ip, "/version")
		if err == nil && got == to {
			served <- time.Since(start)
			return false
		}
		return true
	})
}

// every calls look at once and then in intervals until it returns false or ctx ends.
func every(ctx context.Context, interval time.Duration, look func() bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for look() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// oneShot makes a connection for each request.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}

func fetch(ctx context.Context, ip, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ip+":8080"+path, nil)
	if err != nil {
		return "", err
	}
	response, err := oneShot.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("cannot get %s: %s", path, response.Status)
	}
	return strings.TrimSpace(string(body)), err
}
