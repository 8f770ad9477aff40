package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Source is what is asked.
type Source interface {
	Metrics() []Family
	Alive(ctx context.Context) error // nil while the agent's own loop turns, whatever the node does
	Ready(ctx context.Context) error // nil while the node runs, and is not stopping
}

const (
	probeTimeout  = 3 * time.Second
	headerTimeout = 5 * time.Second
	writeTimeout  = 10 * time.Second
	idleTimeout   = 30 * time.Second
	maxHeader     = 8 << 10
	maxGuests     = 32 // connections at a time
	closeTimeout  = 500 * time.Millisecond
)

// Routes are all that can be asked.
func Routes(s Source) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /metrics": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", ContentType)
			_ = Write(w, s.Metrics()) // who asks is gone
		},
		"GET /healthz": probe(func(ctx context.Context) error { return s.Alive(ctx) }),
		"GET /readyz":  probe(func(ctx context.Context) error { return s.Ready(ctx) }),
	}
}

// probe answers 200, or 503 and the reason.
func probe(well func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		text := "ok"
		if err := well(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			text = err.Error()
		}
		_, _ = io.WriteString(w, text+"\n")
	}
}

// Serve answers to everybody who reaches the address, until ctx is done. An address that cannot be had is told once, and tried
// again and again: it may be free later, and the agent has more to do than this.
func Serve(ctx context.Context, addr string, s Source, retry time.Duration, log *slog.Logger) {
	again := time.NewTicker(retry)
	defer again.Stop()
	for said := ""; ctx.Err() == nil; {
		err := listen(ctx, addr, s)
		if err != nil && err.Error() != said {
			said = err.Error()
			log.Error("metrics are not served; it is tried again", "err", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

func listen(ctx context.Context, addr string, s Source) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	for pattern, answer := range Routes(s) {
		mux.HandleFunc(pattern, answer)
	}
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // strangers write no lines of ours
	}
	closed := make(chan struct{})
	over, end := context.WithCancel(ctx)
	go func() {
		defer close(closed)
		<-over.Done()
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(quiet) != nil {
			srv.Close()
		}
	}()
	err = srv.Serve(&few{Listener: l})
	end()
	<-closed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("cannot answer on %s: %w", addr, err)
}

// few holds so many connections at a time. A descriptor of PID 1 that a stranger holds is one that the agent cannot use; and
// whoever holds all of them must keep no probe out.
type few struct {
	net.Listener
	mu     sync.Mutex
	guests []*guest // the one that came first is the first
}

// Accept hangs up on who was there longest, where there are too many.
func (f *few) Accept() (net.Conn, error) {
	c, err := f.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{c, f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.guests) == maxGuests {
		f.guests[0].Conn.Close()
		f.guests = f.guests[1:]
	}
	f.guests = append(f.guests, g)
	return g, nil
}

// guest is a connection that is counted.
type guest struct {
	net.Conn
	of *few
}

// Close hangs up.
func (g *guest) Close() error {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	g.of.guests = slices.DeleteFunc(g.of.guests, func(other *guest) bool { return other == g })
	return g.Conn.Close()
}
