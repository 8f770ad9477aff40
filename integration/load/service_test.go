package load

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// service is the demo service's contract in one process, with handles to make it misbehave.
type service struct {
	http *httptest.Server
	tcp  net.Listener

	pause sync.RWMutex // held for writing, it stops every reply

	mu       sync.Mutex
	counts   map[string]int
	sessions map[string]int
	conns    map[net.Conn]bool
	status   int
	serving  sync.WaitGroup
}

func startService(t *testing.T) *service {
	s := &service{counts: map[string]int{}, sessions: map[string]int{}, conns: map[net.Conn]bool{}, status: http.StatusOK}
	s.http = httptest.NewServer(http.HandlerFunc(s.serveHTTP))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.tcp = listener
	s.serving.Go(s.accept)
	t.Cleanup(func() {
		s.http.Close()
		listener.Close()
		s.dropSessions()
		s.serving.Wait()
	})
	return s
}

func (s *service) config() Config {
	return Config{
		HTTP: s.http.Listener.Addr().String(), TCP: s.tcp.Addr().String(),
		HTTPClients: 10, Sessions: 20, HTTPRate: 20, SessionRate: 20,
	}
}

func (s *service) serveHTTP(w http.ResponseWriter, r *http.Request) {
	s.pause.RLock()
	defer s.pause.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status != http.StatusOK {
		w.WriteHeader(s.status)
		return
	}
	if r.URL.Path == "/version" {
		fmt.Fprintln(w, "1.0.0")
		return
	}
	key := r.URL.Query().Get("key")
	s.counts[key]++
	fmt.Fprintln(w, s.counts[key])
}

func (s *service) accept() {
	for {
		conn, err := s.tcp.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.serving.Go(func() { s.serveSession(conn) })
	}
}

func (s *service) serveSession(conn net.Conn) {
	defer conn.Close()
	var id string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		s.pause.RLock()
		word, rest, _ := strings.Cut(lines.Text(), " ")
		if word == "HELLO" {
			id = rest
		}
		fmt.Fprintln(conn, s.answer(id, word))
		s.pause.RUnlock()
	}
}

func (s *service) answer(id, word string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch word {
	case "HELLO":
		return "HI " + id
	case "INC":
		s.sessions[id]++
		return fmt.Sprint(s.sessions[id])
	}
	return fmt.Sprintf("%s %d 1.0.0", id, s.sessions[id])
}

func (s *service) dropSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
		delete(s.conns, conn)
	}
}

// counters are how many it has.
func (s *service) counters() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counts) + len(s.sessions)
}

func (s *service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.counts)
	clear(s.sessions)
}

func (s *service) answerWith(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}
