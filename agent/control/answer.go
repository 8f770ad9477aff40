package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"theseus/agent/api"
)

// statuses maps codes to HTTP's; what is not here is 422, a request that was understood and refused.
var statuses = map[string]int{
	api.CodeBusy: http.StatusConflict, api.CodeNodeDown: http.StatusServiceUnavailable,
	api.CodeStopping: http.StatusServiceUnavailable, api.CodeBadRequest: http.StatusBadRequest,
	api.CodeForbidden: http.StatusForbidden, api.CodeNotFound: http.StatusNotFound,
	api.CodeNoSuchUpgrade: http.StatusNotFound,
	api.CodeInternal:      http.StatusInternalServerError, api.CodeTimeout: http.StatusGatewayTimeout,
}

func respond(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, apiError(err))
		return
	}
	answer(w, v)
}

func apiError(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	return &api.Error{Code: api.CodeInternal, Message: err.Error()}
}

func fail(w http.ResponseWriter, e *api.Error) {
	status, known := statuses[e.Code]
	if !known {
		status = http.StatusUnprocessableEntity
	}
	write(w, status, e)
}

func answer(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

// write cannot report an error to anyone: the client is gone.
func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.Encode(v)
}

// stream writes one event a line, each as soon as it happens. A client that goes away ends nothing.
type stream struct {
	w  http.ResponseWriter
	mu sync.Mutex
	// gone says that the client does not read any more.
	gone bool
	// started says that the status line is out, so that a failure can only be told as a result.
	started bool
	// held says that no byte of the package was asked for yet, and early is what happened before: an answer would tell a
	// client that waits for 100 Continue not to send it.
	held  bool
	early []api.Event
}

func newStream(w http.ResponseWriter) *stream { return &stream{w: w} }

func (s *stream) event(e api.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		s.early = append(s.early, e)
		return
	}
	s.write(e)
}

// release tells what happened early. From now on events are sent while the package still comes in.
func (s *stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	for _, e := range s.early {
		s.write(e)
	}
	s.early = nil
}

func (s *stream) write(e api.Event) {
	if !s.started {
		s.started = true
		http.NewResponseController(s.w).EnableFullDuplex()
		s.w.Header().Set("Connection", "close") // or net/http panics over a package that was not read to its end
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	}
	if s.gone {
		return
	}
	out := http.NewResponseController(s.w)
	if err := errors.Join(out.SetWriteDeadline(time.Now().Add(writeTimeout)), json.NewEncoder(s.w).Encode(e), out.Flush()); err != nil {
		s.gone = true
	}
}

// end tells of an attempt that could not begin. The result of one that did was an event already.
func (s *stream) end(err error) {
	s.release() // of what was not begun, or refused unread
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.started {
		fail(s.w, apiError(err))
	}
}

// upload is a package that comes in. A client that stalls, or lets it trickle, must not keep the agent busy for ever.
type upload struct {
	body    io.Reader
	control *http.ResponseController
	stall   time.Duration // for the next uploadLeast bytes
	came    int           // of them
	begun   func()        // is told that the first of them came
}

// uploadLeast is what must come of a package in a stallTimeout, or the rest of it; bytes.
const uploadLeast = 64 << 10

func newUpload(w http.ResponseWriter, r *http.Request, stall time.Duration, begun func()) io.Reader {
	return &upload{body: r.Body, control: http.NewResponseController(w), stall: stall, came: uploadLeast, begun: sync.OnceFunc(begun)}
}

func (u *upload) Read(p []byte) (int, error) {
	if u.came >= uploadLeast {
		u.came = 0
		if err := u.control.SetReadDeadline(time.Now().Add(u.stall)); err != nil {
			return 0, err
		}
	}
	n, err := u.body.Read(p)
	u.begun()
	u.came += n
	if errors.Is(err, io.EOF) {
		// From now on the server reads on to see the client go, for as long as the upgrade takes.
		if err := u.control.SetReadDeadline(time.Time{}); err != nil {
			return n, err
		}
	}
	return n, err
}
