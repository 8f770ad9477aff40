// Package load puts a steady load on the demo service and tells what its clients lived through.
//
// The load is open: every client has a timetable of its own, fixed before the run, and a latency is
// counted from the moment at which the request was due. A service that stops for half a second is thus
// seen by each request that was due in that half second, also by those that could only be sent late.
// A generator that waits for a reply before it decides when to ask again would report one slow request
// and hide all the others.
//
// Every client owns one connection and one counter in the service, so that a connection which was not
// kept and state which was lost are facts, not guesses.
package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Config says where the service is and how much to ask of it. A zero field takes its default.
type Config struct {
	HTTP string // address of the keep-alive HTTP service, host:port
	TCP  string // address of the line protocol, host:port

	HTTPClients int           // default 200
	Sessions    int           // default 1000
	HTTPRate    float64       // requests per second of each HTTP client, default 4
	SessionRate float64       // lines per second of each session, default 1
	Timeout     time.Duration // after which a reply counts as lost and its connection is given up, default a minute
}

func (c Config) withDefaults() Config {
	setDefault(&c.HTTPClients, 200)
	setDefault(&c.Sessions, 1000)
	setDefault(&c.HTTPRate, 4)
	setDefault(&c.SessionRate, 1)
	setDefault(&c.Timeout, time.Minute)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Generator is a running load.
type Generator struct {
	record  *recorder
	clients []*client
	stop    context.CancelFunc
	running sync.WaitGroup
}

// dialing bounds the handshakes under way, so that the service's listen backlog is not what is measured.
const dialing = 16

// Start connects every client and then sets all timetables going. The load runs until Stop or until ctx
// ends; an error means that not all clients could connect, and nothing is left running.
func Start(ctx context.Context, cfg Config) (*Generator, error) {
	cfg = cfg.withDefaults()
	g := &Generator{record: newRecorder(), clients: newClients(cfg)}
	if err := connect(ctx, g.clients); err != nil {
		closeAll(g.clients)
		return nil, err
	}
	ctx, g.stop = context.WithCancel(ctx)
	start := time.Now()
	g.record.begin("steady", start)
	for _, c := range g.clients {
		c.record = g.record
		g.running.Go(func() { c.run(ctx, start) })
	}
	return g, nil
}

// Mark begins a phase of the report: replies that arrive from now on are counted to it.
func (g *Generator) Mark(phase string) { g.record.begin(phase, time.Now()) }

// Stop lets the requests under way finish, closes all connections and reports.
func (g *Generator) Stop() *Report {
	g.stop()
	g.running.Wait()
	return g.record.report(g.clients)
}

// newClients spreads the clients of each kind evenly over one interval, so that they never beat together.
func newClients(cfg Config) []*client {
	run := time.Now().UnixNano() // counters of an earlier run against the same service are not ours
	var clients []*client
	for i := range cfg.HTTPClients {
		clients = append(clients, &client{
			kind: kindHTTP, addr: cfg.HTTP, timeout: cfg.Timeout,
			every: interval(cfg.HTTPRate), offset: share(interval(cfg.HTTPRate), i, cfg.HTTPClients),
			talk: &httpTalk{host: cfg.HTTP, key: fmt.Sprintf("c%x-%d", run, i)},
		})
	}
	for i := range cfg.Sessions {
		clients = append(clients, &client{
			kind: kindSession, addr: cfg.TCP, timeout: cfg.Timeout,
			every: interval(cfg.SessionRate), offset: share(interval(cfg.SessionRate), i, cfg.Sessions),
			talk: &sessionTalk{id: fmt.Sprintf("s%x-%d", run, i)},
		})
	}
	return clients
}

func interval(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }

func share(d time.Duration, i, n int) time.Duration { return d * time.Duration(i) / time.Duration(n) }

func connect(ctx context.Context, clients []*client) error {
	errs := make(chan error, len(clients))
	slots := make(chan struct{}, dialing)
	for _, c := range clients {
		slots <- struct{}{}
		go func() {
			errs <- c.connect(ctx)
			<-slots
		}()
	}
	var first error
	for range clients {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.disconnect()
	}
}

// Pause lets the load run for a while.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
