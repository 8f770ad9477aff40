package load

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// lookEvery makes every tenth question one that reads instead of counting: the version over HTTP, the
// whole state of a session.
const lookEvery = 10

// sequence follows a counter that only its owner increments. A reply that got lost leaves open whether
// the service has counted; that much doubt, and no more, is allowed to the next answer.
type sequence struct{ last, unsure int64 }

func (s *sequence) asked() { s.unsure++ }

func (s *sequence) counted(value int64) error { return s.settle(value, s.last+1) }

func (s *sequence) seen(value int64) error { return s.settle(value, s.last) }

func (s *sequence) settle(value, least int64) error {
	most := s.last + s.unsure
	last := s.last
	s.last, s.unsure = value, 0
	if value < least || value > most {
		return &stateError{fmt.Sprintf("counter went from %d to %d", last, value)}
	}
	return nil
}

// statusError is an HTTP answer other than 200.
type statusError struct{ code int }

func (e *statusError) Error() string { return "status " + strconv.Itoa(e.code) }

// httpTalk counts on a key of its own over one keep-alive connection.
type httpTalk struct {
	host string
	key  string
	seq  sequence
}

func (*httpTalk) greet(*link) error { return nil }

func (t *httpTalk) exchange(l *link, n int) error {
	if n%lookEvery == lookEvery-1 {
		_, err := t.get(l, "/version")
		return err
	}
	t.seq.asked()
	body, err := t.get(l, "/count?key="+t.key)
	if err != nil {
		return err
	}
	value, err := strconv.ParseInt(body, 10, 64)
	if err != nil {
		return fmt.Errorf("cannot read count %q: not a number", body)
	}
	return t.seq.counted(value)
}

func (t *httpTalk) get(l *link, path string) (string, error) {
	if _, err := fmt.Fprintf(l.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, t.host); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", &statusError{resp.StatusCode}
	}
	return strings.TrimSpace(string(body)), nil
}

// sessionTalk counts in one long-lived session of the line protocol.
type sessionTalk struct {
	id  string
	seq sequence
}

func (t *sessionTalk) greet(l *link) error {
	reply, err := line(l, "HELLO "+t.id)
	if err == nil && reply != "HI "+t.id {
		err = fmt.Errorf("cannot open session %s: service said %q", t.id, reply)
	}
	return err
}

func (t *sessionTalk) exchange(l *link, n int) error {
	if n%lookEvery == lookEvery-1 {
		return t.look(l)
	}
	t.seq.asked()
	reply, err := line(l, "INC")
	if err != nil {
		return err
	}
	value, err := strconv.ParseInt(reply, 10, 64)
	if err != nil {
		return fmt.Errorf("cannot read counter %q: not a number", reply)
	}
	return t.seq.counted(value)
}

func (t *sessionTalk) look(l *link) error {
	reply, err := line(l, "STATE")
	if err != nil {
		return err
	}
	var id, version string
	var value int64
	if _, err := fmt.Sscan(reply, &id, &value, &version); err != nil {
		return fmt.Errorf("cannot read state %q: %w", reply, err)
	}
	if id != t.id {
		return &stateError{fmt.Sprintf("session %s became %s", t.id, id)}
	}
	return t.seq.seen(value)
}

func line(l *link, request string) (string, error) {
	if _, err := io.WriteString(l.conn, request+"\n"); err != nil {
		return "", err
	}
	reply, err := l.in.ReadString('\n')
	return strings.TrimRight(reply, "\r\n"), err
}
