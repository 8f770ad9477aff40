package cowboy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"theseus/integration/ship"
)

// client is one connection that is held from its first request to the end of the story.
type client struct {
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	seen int    // answers
	last string // version that wrote one
	err  error  // that ended it, or what was wrong
}

func start(t *testing.T, run func(ctx context.Context, c *client) error) *client {
	ctx, stop := context.WithCancel(t.Context())
	c := &client{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		err := run(ctx, c)
		c.mu.Lock()
		defer c.mu.Unlock()
		if ctx.Err() == nil {
			c.err = err
		}
	}()
	t.Cleanup(func() { stop(); <-c.done })
	return c
}

// note is one more answer, with the number that must follow the last one.
func (c *client) note(version, number string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	c.last = version
	if number != strconv.Itoa(c.seen) {
		return fmt.Errorf("number %s came as answer %d", number, c.seen)
	}
	return nil
}

// visit asks for a number that counts up, again and again over one connection. http.Transport would open another one where a
// request is slow to be written.
func visit(t *testing.T, url string) *client {
	return start(t, func(ctx context.Context, c *client) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", req.URL.Host)
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		defer conn.Close()
		for answers := bufio.NewReader(conn); ; {
			number, err := ask(req, conn, answers)
			if err == nil {
				err = c.note("", number)
			}
			if err != nil {
				return err
			}
		}
	})
}

func ask(req *http.Request, conn io.Writer, answers *bufio.Reader) (string, error) {
	if err := req.Write(conn); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(answers, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err == nil && resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("status %d", resp.StatusCode)
	case err == nil && resp.Close:
		err = errors.New("its connection is closed")
	}
	return string(body), err
}

// read reads one stream, a line after the other.
func read(t *testing.T, url string) *client {
	return start(t, func(ctx context.Context, c *client) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			version, number, _ := strings.Cut(lines.Text(), " ")
			if err := c.note(version, number); err != nil {
				return err
			}
		}
		return errors.Join(lines.Err(), errors.New("the stream ended"))
	})
}

// awaits returns when a version has written to it.
func (c *client) awaits(s *ship.Ship, version string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), version+" in the stream", ship.Patience, func(context.Context) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err != nil || c.last != version {
			return fmt.Errorf("%q writes, its error is %w", c.last, c.err)
		}
		return nil
	}))
}

// ends fails the story where anything was lost.
func (c *client) ends(t *testing.T) {
	t.Helper()
	c.stop()
	select {
	case <-c.done:
	case <-time.After(ship.Patience):
		t.Fatal("a client does not end")
	}
	if c.err != nil {
		t.Errorf("after %d answers: %v", c.seen, c.err)
	}
	if c.seen < 2 {
		t.Errorf("it had %d answers", c.seen)
	}
}
