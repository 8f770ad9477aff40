package heart

import (
	"bufio"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	receiveTimeout = 10 * time.Second // for the hand-over, once there is a connection; longer than handTimeout
	answerTimeout  = time.Second      // a node that does not read that long is not waited for
	lastWords      = time.Second      // of a node that has ended
	lastLook       = time.Second / 10 // for what it had said by then
	hangTimeout    = 2 * lastWords    // for a line whose other owner has made it block
	cycleTimeout   = 10 * time.Second // for the old line after heart:cycle/0 (kernel: heart.erl)
)

// Heart hears one incarnation of the node.
type Heart struct {
	incarnation string
	listener    *net.UnixListener
	log         *slog.Logger
	beats       atomic.Uint64
	serving     sync.WaitGroup

	mu      sync.Mutex
	line    *line // to the node; nil until it called
	word    Word
	command string
	closed  bool
}

// line is the two ends of the port's pipes.
type line struct {
	in, out *os.File
	late    bool // its deadline has come
}

// Listen waits in a BINDIR that Bindir made for the heart of an incarnation.
func Listen(bindir, incarnation string, log *slog.Logger) (*Heart, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(bindir, socketName), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the node's heart: %w", err)
	}
	h := &Heart{incarnation: incarnation, listener: l, log: log}
	h.serving.Go(h.accept)
	return h, nil
}

// Close ends it, when all that a node said before it ended is heard.
func (h *Heart) Close() {
	h.listener.Close()
	h.mu.Lock()
	h.closed = true
	if h.line != nil { // what has inherited the other end could keep it open
		_ = h.line.in.SetReadDeadline(time.Now().Add(lastWords))
	}
	h.mu.Unlock()
	heard := make(chan struct{})
	go func() {
		h.serving.Wait()
		close(heard)
	}()
	select {
	case <-heard:
	case <-time.After(hangTimeout):
		h.log.Error("what the node's heart said last is not heard, because reading it blocks")
	}
}

// Beats counts the signs of life. It is 0 until the heart has called.
func (h *Heart) Beats() uint64 { return h.beats.Load() }

// Word is the last that the heart said. While the node lives it is what it would be if the node ended now.
func (h *Heart) Word() Word {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.word
}

// Command is what the node wants to be done when it has ended (kernel: heart:set_cmd/1); empty: nothing.
func (h *Heart) Command() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.command
}

func (h *Heart) accept() {
	for {
		c, err := h.listener.AcceptUnix()
		if err == nil {
			err = h.take(c)
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			h.log.Error("refused to hear a heart", "err", err)
		}
	}
}

// take takes over the pipes of whoever calls and knows which incarnation it belongs to. A second one is heart:cycle/0,
// which ends the first.
func (h *Heart) take(c *net.UnixConn) error {
	defer c.Close()
	if err := checkPeer(c); err != nil {
		return err
	}
	incarnation, l, err := receive(c)
	if err != nil {
		return fmt.Errorf("cannot take its pipes: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || subtle.ConstantTimeCompare([]byte(incarnation), []byte(h.incarnation)) == 0 {
		l.close()
		return errors.New("it is not the heart of this incarnation")
	}
	if h.line != nil {
		_ = h.line.in.SetReadDeadline(time.Now().Add(cycleTimeout))
	}
	h.line, h.word = l, Closed
	h.serving.Go(func() { h.hear(l) })
	return nil
}

// checkPeer lets only the agent's own user call, in this PID namespace.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) { peer, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, sockErr); err != nil {
		return err
	}
	if peer.Pid == 0 || int(peer.Uid) != os.Geteuid() {
		return fmt.Errorf("it is of uid %d, pid %d", peer.Uid, peer.Pid)
	}
	return nil
}

// receive reads the one message of a hand-over.
func receive(c *net.UnixConn) (incarnation string, l *line, err error) {
	if err := c.SetReadDeadline(time.Now().Add(receiveTimeout)); err != nil {
		return "", nil, err
	}
	text, rights := make([]byte, 64), make([]byte, unix.CmsgSpace(2*4))
	n, size, flags, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return "", nil, err
	}
	files, err := filesOf(rights[:size])
	switch {
	case err != nil:
	case flags&unix.MSG_CTRUNC != 0:
		err = errors.New("there are more than 2 of them")
	case len(files) != 2:
		err = fmt.Errorf("there are %d of them, not 2", len(files))
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return "", nil, err
	}
	return string(text[:n]), &line{in: files[0], out: files[1]}, nil
}

// filesOf are the files that came with a message. They do not block: Go then waits for them without a thread.
func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, rightsErr := unix.ParseUnixRights(&m)
		err = errors.Join(err, rightsErr)
		for _, fd := range fds {
			err = errors.Join(err, unix.SetNonblock(fd, true))
			files = append(files, os.NewFile(uintptr(fd), Program))
		}
	}
	return files, err
}

// hear listens until the node ends, or says that it does. Nothing else may close the line, for the node would end over
// that (kernel: heart:loop/2).
func (h *Heart) hear(l *line) {
	defer l.close()
	l.send(frame(opAck, ""))
	in := bufio.NewReaderSize(l, 512)
	for {
		op, text, err := readFrame(in)
		if err != nil {
			return
		}
		if answer := h.obey(l, op, string(text)); answer != nil {
			l.send(answer)
		}
		h.beats.Add(1)
		if op == opShutDown { // its last; it waits until the line is closed
			return
		}
	}
}

// obey does what the node says. The answer is nil where the node waits for none.
func (h *Heart) obey(l *line, op byte, text string) (answer []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l != h.line {
		return nil
	}
	switch op {
	case opShutDown:
		h.word = Stopped
	case opPreparingCrash:
		h.word = Crashing
	case opSetCommand:
		h.command = text
		return frame(opAck, "")
	case opClearCommand:
		h.command = ""
		return frame(opAck, "")
	case opGetCommand:
		return frame(opCommand, h.command)
	}
	return nil
}

// Read looks once more when the deadline has come: Go ends a read over that without a look at what is there.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && !l.late {
		l.late = true
		_ = l.in.SetReadDeadline(time.Now().Add(lastLook))
		n, err = l.in.Read(p)
	}
	return n, err
}

// send gives up where the node does not read: it waits for the answer then, and beats no more.
func (l *line) send(answer []byte) {
	_ = l.out.SetWriteDeadline(time.Now().Add(answerTimeout))
	_, _ = l.out.Write(answer)
}

func (l *line) close() {
	l.in.Close()
	l.out.Close()
}
