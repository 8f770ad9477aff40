package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/ergo-services/ergo/lib"
	"github.com/ergo-services/ergo/node"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

const (
	// maxFrame bounds one message of the node, and so what a call can make the agent hold.
	maxFrame = 16 << 20
	// headBytes of a larger message tell whose answer it is: two names of nodes, and little else.
	headBytes = 4 << 10
	// passThrough starts a message without distribution header and atom cache (erl_dist_protocol).
	passThrough = 112
	// opSend and opRegSend are control messages: to a pid, to a registered name.
	opSend, opRegSend = 2, 6
	// maxTickPeriod is a quarter of OTP's default net_ticktime.
	maxTickPeriod = 15 * time.Second
	// ourCreation need not differ between connections: their names do.
	ourCreation = 1
)

// reply is what came back for a call.
type reply struct {
	value term.Term
	err   error
}

// link is the connection after its handshake, read and written through ergo's plug for the protocol. ergo's own
// loses terms (see package etf), drops the connection for one that it does not know, and lets a panic in
// its decoder end the process; so only this reads and writes.
type link struct {
	conn lib.NetReadWriter
	pid  etf.Pid

	writing chan struct{} // holds a token while nobody writes
	done    chan struct{} // closed when the connection is lost and ergo through with it

	mu      sync.Mutex
	lastRef uint64
	pending map[[3]uint32]waiter
}

// waiter is a call in flight, and what it reads of its answer. That is done where the connection is read, one answer at
// a time, so that large ones are not held beside each other.
type waiter struct {
	answer chan reply
	read   func(term.Term) (term.Term, error)
}

// asItCame reads all of an answer.
func asItCame(t term.Term) (term.Term, error) { return t, nil }

// connection is what the sends, links and monitors of ergo's processes go to. There are none.
type connection struct{ node.ConnectionInterface }

// protocol makes the link of a connection; it is ergo's plug. One handshake makes at most one link.
type protocol struct {
	name  string     // ours
	shake *handshake // which has the connection, maybe in TLS
	link  *link
}

// Init is called after the handshake.
func (p *protocol) Init(context.Context, lib.NetReadWriter, string, node.HandshakeDetails) (node.ConnectionInterface, error) {
	p.link = &link{
		conn:    p.shake.conn,
		pid:     etf.Pid{Node: p.name, ID: 1, Creation: ourCreation},
		writing: make(chan struct{}, 1),
		done:    make(chan struct{}),
		pending: map[[3]uint32]waiter{},
	}
	p.link.writing <- struct{}{}
	return connection{}, nil
}

// Serve reads until the connection is lost.
func (p *protocol) Serve(node.ConnectionInterface, node.CoreRouter) {
	ctx, cancel := context.WithCancel(context.Background())
	var ticks sync.WaitGroup
	ticks.Go(func() { p.link.tick(ctx) })
	p.link.read()
	p.link.hangUp() // whoever is writing need not wait
	cancel()
	ticks.Wait()
}

// Terminate is the last that ergo does to a connection. Only now every call in flight learns that its outcome
// is unknown: who then connects anew shall not meet ergo still reading the globals that a new node of its writes.
func (p *protocol) Terminate(node.ConnectionInterface) { close(p.link.done) }

// read has no deadline. A node that is gone closes the connection; one that hangs is told by its calls.
func (l *link) read() {
	r := bufio.NewReader(l.conn)
	for {
		m, err := readFrame(r)
		if err != nil {
			return
		}
		l.handle(m)
	}
}

// received is one message of the node. Of one that is too large only the beginning is kept: all calls share the
// connection, so it must not end for the answer to one of them.
type received struct {
	bytes []byte
	size  int64
}

func (m received) tooLarge() bool { return m.size > maxFrame }

func readFrame(r io.Reader) (received, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return received{}, err
	}
	m := received{size: int64(binary.BigEndian.Uint32(size[:]))}
	kept := m.size
	if m.tooLarge() {
		kept = headBytes
	}
	m.bytes = make([]byte, kept)
	if _, err := io.ReadFull(r, m.bytes); err != nil {
		return received{}, err
	}
	_, err := io.CopyN(io.Discard, r, m.size-kept)
	return m, err
}

// handle takes what was read: a tick, which is empty, or a message to our one process. What is no answer to a
// call is ignored, as a process does with a message that it does not expect.
func (l *link) handle(m received) {
	if len(m.bytes) == 0 || m.bytes[0] != passThrough {
		return
	}
	control, payload, err := etf.Decode(m.bytes[1:])
	if err != nil {
		return
	}
	if op, ok := control.(term.Tuple); !ok || len(op) != 3 || op[0] != int64(opSend) {
		return
	}
	ref, answer, err := etf.DecodeReply(payload)
	if err != nil {
		return
	}
	if w, waits := l.take(ref); waits {
		w.answer <- m.reply(answer, w.read) // has room for the one answer
	}
}

func (m received) reply(answer etf.Raw, read func(term.Term) (term.Term, error)) reply {
	if m.tooLarge() {
		return reply{err: fmt.Errorf("the answer is %w: %d bytes, and %d are allowed", ErrTooLarge, m.size, maxFrame)}
	}
	value, err := answer.Decode()
	switch {
	case errors.Is(err, etf.ErrTooLarge):
		err = fmt.Errorf("the answer is %w", err)
	case err != nil:
		err = fmt.Errorf("cannot read the answer: %w", err)
	default:
		value, err = read(value)
	}
	return reply{value, err}
}

// take finds who waits for an answer. Of one that comes too late nothing is read.
func (l *link) take(ref etf.Ref) (w waiter, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, waits = l.pending[ref.Words]
	delete(l.pending, ref.Words)
	return w, waits
}

// expect makes a reference and the channel on which its answer will come.
func (l *link) expect(read func(term.Term) (term.Term, error)) (etf.Ref, chan reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastRef++
	// The first word of a reference has 18 bits.
	words := [3]uint32{uint32(l.lastRef & (1<<18 - 1)), uint32(l.lastRef >> 18), uint32(l.lastRef >> 50)}
	answer := make(chan reply, 1)
	l.pending[words] = waiter{answer, read}
	return etf.Ref{Node: l.pid.Node, Creation: l.pid.Creation, Words: words}, answer
}

func (l *link) forget(ref etf.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, ref.Words)
}

// request sends a gen_server call to the process rex, which runs each call in a process of its own, and waits for what
// is read of its answer (gen:call/4).
func (l *link) request(ctx context.Context, call term.Term, read func(term.Term) (term.Term, error)) (term.Term, error) {
	ref, answer := l.expect(read)
	defer l.forget(ref)
	frame, err := l.frame(term.Tuple{term.Atom("$gen_call"), term.Tuple{l.pid, ref}, call})
	if err != nil {
		return nil, err
	}
	if err := l.send(ctx, frame); err != nil {
		return nil, err
	}
	select {
	case r := <-answer:
		return r.value, r.err
	case <-l.done:
		return l.late(answer)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, inWords(context.Cause(ctx)))
	}
}

// late takes the answer that came just before the connection was lost.
func (l *link) late(answer chan reply) (term.Term, error) {
	select {
	case r := <-answer:
		return r.value, r.err
	default:
		return nil, fmt.Errorf("%w: the connection was lost", ErrUnknownOutcome)
	}
}

func (l *link) frame(message term.Term) ([]byte, error) {
	frame := []byte{0, 0, 0, 0, passThrough}
	frame, err := etf.Append(frame, term.Tuple{int64(opRegSend), l.pid, term.Atom(""), term.Atom("rex")})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	if frame, err = etf.Append(frame, message); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrNotSent, ErrNoTerm, err)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame, nil
}

// send writes a whole frame or breaks the connection: of half a frame the node does nothing, so an error
// means that the call was not made. A deadline that has passed before the first byte breaks nothing, for all calls share the
// connection; but TLS has no way to go on then (crypto/tls).
func (l *link) send(ctx context.Context, frame []byte) error {
	select {
	case <-l.done:
	case <-ctx.Done():
	case <-l.writing:
		defer func() { l.writing <- struct{}{} }()
	}
	switch {
	case l.lost():
		return fmt.Errorf("%w: the connection was lost", ErrNotSent)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrNotSent, inWords(context.Cause(ctx)))
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = l.conn.SetWriteDeadline(deadline) // fails on a closed connection, as the write does then
	}
	n, err := l.conn.Write(frame)
	if err == nil {
		return nil
	}
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !inTLS(l.conn) {
		return fmt.Errorf("%w: %w", ErrNotSent, context.DeadlineExceeded)
	}
	l.hangUp()
	return fmt.Errorf("%w: %w", ErrNotSent, err)
}

func (l *link) hangUp() {
	if c, ok := l.conn.(net.Conn); ok {
		_ = c.Close()
	}
}

// tick tells the node that we are there, as a node does that has nothing to say: a node drops a peer
// that it has not heard for its net_ticktime.
func (l *link) tick(ctx context.Context) {
	ticker := time.NewTicker(l.tickPeriod(ctx))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			soon, cancel := context.WithTimeout(ctx, maxTickPeriod)
			_ = l.send(soon, []byte{0, 0, 0, 0}) // a failure ends the connection, which read sees
			cancel()
		}
	}
}

// tickPeriod asks for the node's own net_ticktime, which a release may have set to a few seconds
// (net_kernel:get_net_ticktime/0, also {ongoing_change_to, Seconds}).
func (l *link) tickPeriod(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, maxTickPeriod)
	defer cancel()
	answer, err := l.request(ctx, mfa("net_kernel", "get_net_ticktime"), asItCame)
	if changing, ok := answer.(term.Tuple); ok && len(changing) == 2 {
		answer = changing[1]
	}
	seconds, ok := term.AsInt(answer)
	if err != nil || !ok {
		return maxTickPeriod
	}
	return min(maxTickPeriod, max(time.Second, time.Duration(seconds)*time.Second/4))
}

// lost says whether the connection is gone.
func (l *link) lost() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}
