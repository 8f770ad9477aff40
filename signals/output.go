package signals

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// ErrTooMuch says that a command printed more than it may, and was ended for that.
var ErrTooMuch = errors.New("it prints too much")

// What is in the pipe when everybody is gone is read to its end. Somebody who has left the session and cleared the environment may
// hold it open, or even write: a full pipe needs fewer reads than these.
const (
	drainReads = 8
	drainTime  = 250 * time.Millisecond // for each
)

// Output runs a command as Stream does, and returns what it printed on its standard output, at most so many bytes. Beyond
// them it is ended, with ErrTooMuch.
func (i *Init) Output(ctx context.Context, cmd Command, most int) ([]byte, Exit, error) {
	printed := &bounded{most: most}
	exit, err := i.Stream(ctx, cmd, printed)
	return printed.text, exit, err
}

// bounded keeps the beginning of what is written.
type bounded struct {
	text []byte
	most int
}

func (b *bounded) Write(text []byte) (int, error) {
	n := min(len(text), b.most-len(b.text))
	b.text = append(b.text, text[:n]...)
	if n < len(text) {
		return n, ErrTooMuch
	}
	return n, nil
}

// Stream runs a command as Finish does, and passes on what it prints on its standard output. Where that cannot be done the
// command is ended, and the error says why.
func (i *Init) Stream(ctx context.Context, cmd Command, to io.Writer) (Exit, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return Exit{}, err
	}
	defer read.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	from := &draining{pipe: read}
	copied := make(chan error, 1)
	go func() { // ends with the pipe, or with whoever reads
		_, err := io.Copy(to, from)
		if err != nil {
			cancel()
		}
		copied <- err
	}()
	cmd.Stdout = write
	exit, err := i.Finish(ctx, cmd)
	write.Close()
	from.drain()
	if lost := <-copied; lost != nil && !errors.Is(lost, os.ErrDeadlineExceeded) {
		err = lost
	}
	return exit, err
}

// draining is a pipe from which, once it drains, nothing is awaited for long.
type draining struct {
	pipe   *os.File
	drains atomic.Bool
	reads  int // since
}

func (d *draining) Read(p []byte) (int, error) {
	if d.drains.Load() {
		if d.reads++; d.reads > drainReads {
			return 0, os.ErrDeadlineExceeded
		}
		_ = d.pipe.SetReadDeadline(time.Now().Add(drainTime))
	}
	return d.pipe.Read(p)
}

func (d *draining) drain() {
	d.drains.Store(true)
	_ = d.pipe.SetReadDeadline(time.Now().Add(drainTime)) // of the one that waits
}
