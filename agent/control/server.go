// Package control serves the control socket: it reads requests, asks the agent, and writes answers. Who may
// ask is in peer.go, what is asked and answered in package api.
package control

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"theseus/agent/api"
	"theseus/agent/metrics"
	"theseus/agent/printable"
)

// Agent is what is asked. Errors that are an *api.Error go to the client as they are.
type Agent interface {
	Status() api.Status
	Releases() []api.Release
	History(limit int) ([]api.Event, error)
	Report(id string) (api.Report, error)
	Health(ctx context.Context) error // nil while the node runs and answers
	Drift(ctx context.Context) (api.Drift, error)
	Version() api.Version
	RPC(ctx context.Context, req api.RPCRequest, to Transcript) error
	Eval(ctx context.Context, req api.EvalRequest, to Transcript) error
	Remote(ctx context.Context) (api.Remote, error)
	Remove(ctx context.Context, version string) (api.Removed, error)
	Gates(ctx context.Context) (api.Gates, error) // asks each once
	Stop()
	metrics.Source
	// What follows reports to on; the last event has the result. An error means that it did not begin.
	Upgrade(ctx context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error
	Unpack(ctx context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error
	Install(ctx context.Context, req api.InstallRequest, on func(api.Event)) error
	Commit(ctx context.Context, req api.CommitRequest, on func(api.Event)) error
	Rollback(ctx context.Context, req api.RollbackRequest, on func(api.Event)) error
}

const (
	maxRequest    = 1 << 20 // of everything but a package and expressions, bytes
	maxEval       = 4 << 20 // of expressions: 512 KiB of them, of which JSON may make six times as much
	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	writeTimeout  = 10 * time.Second       // for one event; a client that does not read is given up
	stallTimeout  = time.Minute            // for the next uploadLeast bytes of a package
	pauseTimeout  = 10 * time.Minute       // of who reads a result, or what an expression prints
	healthTimeout = 3 * time.Second        // for the node's answer
	lookInterval  = 5 * time.Second        // until a socket that was taken away is missed
	closeTimeout  = 500 * time.Millisecond // for open streams, once the agent ends
)

// Serve answers requests on the socket until ctx is done, then gives open streams a moment to end. A socket whose name
// was taken away is made anew.
func Serve(ctx context.Context, l *Socket, policy Policy, agent Agent, log *slog.Logger) error {
	s := &server{agent: agent, log: log}
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		ConnContext: withGuest, MaxHeaderBytes: 1 << 16,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(quiet) != nil {
			srv.Close()
		}
	}()
	for {
		next := make(chan *Socket, 1)
		watching, end := context.WithCancel(ctx)
		go func() { next <- s.replacement(watching, l) }()
		err := srv.Serve(policy.guard(l))
		end()
		fresh := <-next
		switch {
		case errors.Is(err, http.ErrServerClosed):
			if fresh != nil {
				fresh.Close()
			}
			<-closed
			return nil
		case fresh == nil:
			return err
		}
		l = fresh
	}
}

// replacement makes the socket anew when its name is gone, and closes the old one. It is nil when ctx ends before.
func (s *server) replacement(ctx context.Context, l *Socket) *Socket {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		if !l.gone() {
			continue
		}
		_ = os.MkdirAll(filepath.Dir(l.path), 0o711) // it may be gone as well; Listen says so
		fresh, err := Listen(ctx, l.path)
		if err == nil {
			s.log.Warn("the control socket was taken away, and is made anew", "path", l.path)
			l.Close()
			return fresh
		}
		if text := err.Error(); text != said {
			said = text
			s.log.Error("the control socket was taken away, and cannot be made anew", "err", err)
		}
	}
}

type server struct {
	agent Agent
	log   *slog.Logger
}

// route is one request that is answered. There is no other way in than this table: guard stands before all of it.
type route struct {
	pattern string
	answer  http.HandlerFunc
}

func (s *server) routes() []route {
	list := []route{
		{"GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.agent.Status()) }},
		{"GET /v1/releases", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.agent.Releases()) }},
		{"DELETE /v1/releases/{version}", s.remove},
		{"GET /v1/version", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.agent.Version()) }},
		{"GET /v1/health", s.health},
		{"GET /v1/history", s.history},
		{"GET /v1/drift", s.drift},
		{"POST /v1/gates", s.gates},
		{"GET /v1/history/{id}", s.report},
		{"POST /v1/rpc", s.rpc},
		{"POST /v1/eval", s.eval},
		{"POST /v1/remote", s.remote},
		{"POST /v1/stop", s.stop},
		{"POST /v1/upgrade", s.upgrade},
		{"POST /v1/unpack", s.unpack},
		{"POST /v1/install", s.install},
		{"POST /v1/commit", s.commit},
		{"POST /v1/rollback", s.rollback},
		{"/", s.unknown},
	}
	for pattern, answer := range metrics.Routes(s.agent) {
		list = append(list, route{pattern, answer})
	}
	return list
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, r.answer)
	}
	return s.guard(mux)
}

func (s *server) unknown(w http.ResponseWriter, r *http.Request) {
	fail(w, &api.Error{Code: api.CodeNotFound, Message: "cannot answer " + r.Method + " " + strconv.Quote(r.URL.Path) + ": there is no such request", Hint: "docs/api.md lists them"})
}

// guard lets nobody in whom the policy does not allow, and nothing out that would end PID 1.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a request panicked", "request", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				fail(w, &api.Error{Code: api.CodeInternal, Message: "cannot answer: the agent has a bug, its log says where"})
			}
		}()
		if e := forbidden(r.Context()); e != nil {
			w.Header().Set("Connection", "close")
			fail(w, e)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	respond(w, api.Health{Node: api.NodeRunning}, s.agent.Health(ctx))
}

func (s *server) drift(w http.ResponseWriter, r *http.Request) {
	found, err := s.agent.Drift(r.Context())
	respond(w, found, err)
}

func (s *server) history(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if r.URL.Query().Has("limit") && (err != nil || limit < 0) {
		fail(w, &api.Error{Code: api.CodeBadRequest, Message: "cannot read limit: it is no number of events, 0 or more"})
		return
	}
	events, err := s.agent.History(limit)
	respond(w, events, err)
}

func (s *server) report(w http.ResponseWriter, r *http.Request) {
	report, err := s.agent.Report(r.PathValue("id"))
	respond(w, report, err)
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	removed, err := s.agent.Remove(r.Context(), r.PathValue("version"))
	respond(w, removed, err)
}

func (s *server) gates(w http.ResponseWriter, r *http.Request) {
	answers, err := s.agent.Gates(r.Context())
	respond(w, answers, err)
}

func (s *server) stop(w http.ResponseWriter, _ *http.Request) {
	s.agent.Stop()
	answer(w, struct{}{})
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) { take(w, r, s.agent.Upgrade) }

func (s *server) unpack(w http.ResponseWriter, r *http.Request) { take(w, r, s.agent.Unpack) }

// take is a request that comes with a package.
func take(w http.ResponseWriter, r *http.Request, do func(context.Context, api.UpgradeRequest, io.Reader, func(api.Event)) error) {
	req, err := upgradeRequest(r)
	if err != nil {
		fail(w, err)
		return
	}
	out := newStream(w)
	out.held = true
	out.end(do(r.Context(), req, newUpload(w, r, stallTimeout, out.release), out.event))
}

func upgradeRequest(r *http.Request) (api.UpgradeRequest, *api.Error) {
	query := r.URL.Query()
	req := api.UpgradeRequest{Name: query.Get("name"), SHA256: query.Get("sha256"), Size: max(r.ContentLength, 0)}
	switch {
	case req.Name == "":
		req.Name = "the package"
	case req.Name != printable.Text(req.Name): // messages with it are read on terminals
		return req, &api.Error{Code: api.CodeBadRequest, Message: "cannot read name=" + strconv.Quote(req.Name) + ": it has characters that are none of a name"}
	}
	for name, into := range map[string]*bool{"restart": &req.Restart, "allow_downgrade": &req.AllowDowngrade, "no_commit": &req.NoCommit, "derived": &req.Derived} {
		if e := readBool(query, name, into); e != nil {
			return req, e
		}
	}
	if query.Get("settle") != "" {
		req.Settle = new(time.Duration)
		if e := readDuration(query, "settle", req.Settle); e != nil {
			return req, e
		}
	}
	if e := readDuration(query, "commit_within", &req.CommitWithin); e != nil {
		return req, e
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get(api.SignatureHeader))
	if err != nil {
		return req, &api.Error{Code: api.CodeBadRequest, Message: "cannot read the header " + api.SignatureHeader + ": it is not the base64 of a .minisig file"}
	}
	req.Signature = string(signature)
	return req, nil
}

func readBool(query url.Values, name string, into *bool) *api.Error {
	text := query.Get(name)
	if text == "" {
		return nil
	}
	var err error
	if *into, err = strconv.ParseBool(text); err != nil {
		return &api.Error{Code: api.CodeBadRequest, Message: "cannot read " + name + "=" + strconv.Quote(text) + ": it is neither true nor false"}
	}
	return nil
}

func readDuration(query url.Values, name string, into *time.Duration) *api.Error {
	text := query.Get(name)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return &api.Error{Code: api.CodeBadRequest, Message: "cannot read " + name + "=" + strconv.Quote(text) + ": it is no duration such as 5s"}
	}
	*into = d
	return nil
}

func (s *server) rollback(w http.ResponseWriter, r *http.Request) { follow(w, r, s.agent.Rollback) }

func (s *server) install(w http.ResponseWriter, r *http.Request) { follow(w, r, s.agent.Install) }

func (s *server) commit(w http.ResponseWriter, r *http.Request) { follow(w, r, s.agent.Commit) }

// follow is a request that is answered with a stream of events.
func follow[T any](w http.ResponseWriter, r *http.Request, do func(context.Context, T, func(api.Event)) error) {
	req, ok := read[T](w, r, maxRequest)
	if !ok {
		return
	}
	out := newStream(w)
	out.end(do(r.Context(), req, out.event))
}

// read decodes a request's body. An unknown field is an error: it may be one that matters.
func read[T any](w http.ResponseWriter, r *http.Request, limit int64) (T, bool) {
	var v T
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	body.DisallowUnknownFields()
	if err := body.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		fail(w, &api.Error{Code: api.CodeBadRequest, Message: "cannot read the request: " + err.Error()})
		return v, false
	}
	return v, true
}
