package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type kind int

const (
	kindHTTP kind = iota
	kindSession
)

// talk is what one client says over its connection. It keeps the client's own idea of its state in the
// service and reports a reply that contradicts it as a stateError.
type talk interface {
	greet(*link) error
	exchange(l *link, n int) error
}

// stateError says that the service answered, but has forgotten.
type stateError struct{ what string }

func (e *stateError) Error() string { return e.what }

// client asks one question after the other on one connection, by its own timetable.
type client struct {
	kind    kind
	addr    string
	timeout time.Duration
	every   time.Duration
	offset  time.Duration
	talk    talk
	record  *recorder

	link     *link
	drops    int       // connections lost so far; a client that reconnects has not kept its connection
	lost     string    // how the first loss of state showed, empty while there was none
	waiting  bool      // a request since due has had no good reply yet
	dueSince time.Time // when the oldest request without a good reply was due
}

// run works through the timetable until ctx ends. A request is never skipped: one whose turn came while
// an earlier one still waited is sent late and counted from when it was due.
func (c *client) run(ctx context.Context, start time.Time) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	defer c.disconnect()
	for n := 0; ; n++ {
		due := start.Add(c.offset + time.Duration(n)*c.every)
		if !sleepUntil(ctx, timer, due) {
			c.finish()
			return
		}
		c.ask(ctx, n, due)
	}
}

func sleepUntil(ctx context.Context, timer *time.Timer, due time.Time) bool {
	timer.Reset(time.Until(due))
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

func (c *client) ask(ctx context.Context, n int, due time.Time) {
	if !c.waiting {
		c.waiting, c.dueSince = true, due
	}
	err := c.exchange(ctx, n)
	now := time.Now()
	if forgotten, ok := errors.AsType[*stateError](err); ok {
		c.noteLoss(forgotten.what)
		err = nil
	}
	if err != nil {
		c.record.failure(failureKind(err))
		c.dropAfter(err)
		return
	}
	c.waiting = false
	c.record.reply(now.Sub(due), now.Sub(c.dueSince))
}

// exchange notices a connection that the service closed while it was idle before asking on it, as every
// HTTP client library does: such a connection is dropped, but the request need not fail.
func (c *client) exchange(ctx context.Context, n int) error {
	if c.link != nil && c.link.closedByPeer() {
		c.drop()
	}
	if c.link == nil {
		// The request under way is finished after ctx has ended; what bounds it is the timeout.
		if err := c.connect(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	c.link.conn.SetDeadline(time.Now().Add(c.timeout))
	return c.talk.exchange(c.link, n)
}

func (c *client) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: c.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return fmt.Errorf("cannot connect a client: %w", err)
	}
	conn.SetDeadline(time.Now().Add(c.timeout))
	l := &link{conn: conn.(*net.TCPConn), in: bufio.NewReaderSize(conn, 512)}
	if err := c.talk.greet(l); err != nil {
		conn.Close()
		return err
	}
	c.link = l
	return nil
}

// dropAfter gives up the connection, except when the service answered on it, if only to refuse.
func (c *client) dropAfter(err error) {
	if _, answered := errors.AsType[*statusError](err); !answered {
		c.drop()
	}
}

// drop gives up a connection that did not serve to the end.
func (c *client) drop() {
	if c.link == nil {
		return
	}
	c.disconnect()
	c.drops++
	c.record.drop()
}

func (c *client) disconnect() {
	if c.link != nil {
		c.link.conn.Close()
		c.link = nil
	}
}

func (c *client) noteLoss(what string) {
	if c.lost == "" {
		c.lost = what
	}
	c.record.loss()
}

// finish takes the last look: a connection closed after its last reply was not kept either, and a client
// that still waits for a good reply has waited until now.
func (c *client) finish() {
	if c.link != nil && c.link.closedByPeer() {
		c.drop()
	}
	if c.waiting {
		c.record.pause(time.Since(c.dueSince))
	}
}

// link is one TCP connection with the bytes read ahead from it.
type link struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

// closedByPeer tells, without waiting, whether the other side has ended an idle connection.
func (l *link) closedByPeer() bool {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return true
	}
	closed := true
	raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = n <= 0 && !errors.Is(err, unix.EAGAIN)
	})
	return closed
}

// failureKind sorts the errors of a connection into the few words that the report counts.
func failureKind(err error) string {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.Error()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH):
		return "refused"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "closed"
	}
	return "garbled"
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
