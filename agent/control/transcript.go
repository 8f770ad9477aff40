package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"theseus/agent/api"
)

// Transcript takes what a job in the node prints, and then its result. Each waits for the client to read.
type Transcript interface {
	Print(text []byte) error
	io.Writer // of the result
}

func (s *server) rpc(w http.ResponseWriter, r *http.Request) {
	if req, ok := read[api.RPCRequest](w, r, maxRequest); ok {
		t := newTranscript(w, r, req.As)
		t.end(s.agent.RPC(r.Context(), req, t))
	}
}

func (s *server) eval(w http.ResponseWriter, r *http.Request) {
	if req, ok := read[api.EvalRequest](w, r, maxEval); ok {
		t := newTranscript(w, r, req.As)
		t.end(s.agent.Eval(r.Context(), req, t))
	}
}

// remote is a POST, as it tells a secret.
func (s *server) remote(w http.ResponseWriter, r *http.Request) {
	remote, err := s.agent.Remote(r.Context())
	respond(w, remote, err)
}

// transcript is the answer to a job: text as it is, or lines of JSON, the last of which is the result. What fails when the
// answer has begun is told in a trailer.
type transcript struct {
	w       http.ResponseWriter
	plain   bool // text; else lines of JSON
	value   bool // the result is JSON itself, and no text to be quoted
	started bool
	result  bool   // has begun
	last    byte   // that was printed
	rest    []byte // the beginning of a character, of text that is quoted
}

func newTranscript(w http.ResponseWriter, r *http.Request, as string) *transcript {
	return &transcript{w: w, plain: strings.HasPrefix(r.Header.Get("Accept"), api.PlainText), value: as == api.AsJSON, last: '\n'}
}

func (t *transcript) start() {
	if t.started {
		return
	}
	t.started = true
	kind := "application/x-ndjson"
	if t.plain {
		kind = "text/plain; charset=utf-8"
	}
	t.w.Header().Set("Content-Type", kind)
	t.w.Header().Set("Trailer", api.ErrorTrailer)
	t.w.WriteHeader(http.StatusOK)
}

func (t *transcript) send(parts ...[]byte) error {
	t.start()
	if err := http.NewResponseController(t.w).SetWriteDeadline(time.Now().Add(pauseTimeout)); err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := t.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// Print sends text at once.
func (t *transcript) Print(text []byte) error {
	if len(text) > 0 {
		t.last = text[len(text)-1]
	}
	parts := [][]byte{text}
	if !t.plain {
		parts = [][]byte{[]byte(`{"output":"`), t.quoted(text), []byte("\"}\n")}
	}
	return errors.Join(t.send(parts...), http.NewResponseController(t.w).Flush())
}

// Write sends a part of the result.
func (t *transcript) Write(part []byte) (int, error) {
	var parts [][]byte
	if !t.result {
		parts, t.result = t.opening(), true
	}
	sent := part
	if !t.plain && !t.value {
		sent = t.quoted(part)
	}
	return len(part), t.send(append(parts, sent)...)
}

// opening is what stands before the result. What was printed and has no end of its line does not run into it.
func (t *transcript) opening() [][]byte {
	t.rest = nil
	switch {
	case t.plain && t.last != '\n':
		return [][]byte{{'\n'}}
	case t.plain:
		return nil
	case t.value:
		return [][]byte{[]byte(`{"result":`)}
	}
	return [][]byte{[]byte(`{"result":"`)}
}

func (t *transcript) closing() []byte {
	switch {
	case t.plain:
		return []byte("\n")
	case t.value:
		return []byte("}\n")
	}
	return []byte("\"}\n")
}

// end ends the answer, or says what went wrong.
func (t *transcript) end(err error) {
	switch {
	case err == nil && !t.result:
		_ = t.send(append(t.opening(), t.closing())...)
	case err == nil:
		_ = t.send(t.closing())
	case !t.started:
		fail(t.w, apiError(err))
	default:
		e := brief(apiError(err))
		if !t.plain && !t.result {
			_ = t.send([]byte(`{"error":`), e, []byte("}\n"))
		}
		t.w.Header().Set(api.ErrorTrailer, string(e))
	}
}

// maxLate is what a message in a trailer has at most, bytes: as JSON, where one may be six, it has to fit into a client's buffer.
const maxLate = 128 << 10

// brief is an error as JSON that fits into a trailer.
func brief(e *api.Error) []byte {
	short := *e
	if len(short.Message) > maxLate {
		short.Message = strings.ToValidUTF8(short.Message[:maxLate], "") + "… and more"
	}
	text, _ := json.Marshal(short)
	return text
}

// quoted is text as it stands in a string of JSON. A character that is cut off comes with the next part.
func (t *transcript) quoted(text []byte) []byte {
	text = append(t.rest, text...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if last := text[len(text)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole -= i
			}
			break
		}
	}
	t.rest = bytes.Clone(text[whole:])
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	_ = out.Encode(string(text[:whole])) // of a string there is no error
	return b.Bytes()[1 : b.Len()-2]
}
