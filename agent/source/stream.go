package source

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// origin is where content comes from, as often as it is asked.
type origin interface {
	// open begins at an offset, or before it where that cannot be had: from says where. The body ends with ctx.
	open(ctx context.Context, offset int64) (body io.ReadCloser, from int64, err error)
	// size is known once it was opened; 0 where the origin does not tell.
	size() int64
}

// stream is content that may take several connections: where one is cut or stalls, the next goes on behind what has
// come.
type stream struct {
	ctx    context.Context // of all connections
	cancel context.CancelFunc
	origin origin
	effort *effort

	body   io.ReadCloser
	hangUp context.CancelCauseFunc // ends this connection
	at     int64                   // of the body
	offset int64                   // of what was passed on
	ended  error
	mu     sync.Mutex // a sender may still read when it has given up
}

// openStream returns when the first byte is there.
func openStream(ctx context.Context, o origin, e *effort) (io.ReadCloser, error) {
	s := &stream{origin: o, effort: e}
	s.ctx, s.cancel = context.WithCancel(ctx)
	in := bufio.NewReaderSize(s, leastBytes)
	if _, err := in.Peek(1); err != nil {
		s.Close()
		if errors.Is(err, io.EOF) {
			err = noPackage("", "cannot read %s: it is empty", e.name)
		}
		return nil, err
	}
	return &buffered{in, s}, nil
}

// buffered has the first bytes of a stream already.
type buffered struct {
	*bufio.Reader
	io.Closer
}

// Close hangs up; a Read that waits ends.
func (s *stream) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	return nil
}

func (s *stream) drop() {
	if s.body != nil {
		s.hangUp(nil)
		s.body.Close()
		s.body = nil
	}
}

// Read goes on with another connection where one ends too early.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.ended == nil {
		n, err := s.readOnce(p)
		s.offset += int64(n)
		switch size := s.origin.size(); {
		case size > 0 && s.offset > size:
			s.drop()
			err = lost("", "cannot read %s: it sends more than the %d bytes that it has", s.effort.name, size)
		case err == nil:
			err = s.effort.spent()
		case errors.Is(err, io.EOF) && s.isWhole():
			s.drop()
			err = io.EOF
		default:
			s.drop()
			err = s.effort.pause(s.ctx, err)
		}
		s.ended = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.ended
}

// isWhole is true of all that ended where its size is not known: then only the digest tells.
func (s *stream) isWhole() bool { return s.origin.size() == 0 || s.offset == s.origin.size() }

// readOnce reads from the connection that is there, or from a new one.
func (s *stream) readOnce(p []byte) (int, error) {
	begun := time.Now()
	n, err := s.connectAndRead(p)
	s.effort.got(n, time.Since(begun))
	return n, err
}

func (s *stream) connectAndRead(p []byte) (int, error) {
	if s.body == nil {
		if err := s.connect(); err != nil {
			return 0, err
		}
	}
	n, err := s.within(func() (int, error) { return s.body.Read(p) })
	if err != nil {
		err = &brokenError{err}
	}
	skip := int(min(int64(n), s.offset-s.at)) // what has come before, from a server that cannot begin in the middle
	s.at += int64(n)
	return copy(p, p[skip:n]), err
}

func (s *stream) connect() error {
	ctx, hangUp := context.WithCancelCause(s.ctx)
	s.hangUp = hangUp
	_, err := s.within(func() (_ int, err error) {
		s.body, s.at, err = s.origin.open(ctx, s.offset)
		return 0, err
	})
	if err != nil {
		s.body = nil
		hangUp(nil)
	}
	return err
}

// within hangs up on a connection on which nothing happens.
func (s *stream) within(act func() (int, error)) (int, error) {
	hangUp := s.hangUp
	stalled := time.AfterFunc(s.effort.stall(), func() { hangUp(errStalled) })
	defer stalled.Stop()
	n, err := act()
	if errors.Is(err, context.Canceled) && s.ctx.Err() == nil {
		return n, errStalled
	}
	return n, err
}
