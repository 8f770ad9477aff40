package rpc

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/ergo-services/ergo/lib"
	"github.com/ergo-services/ergo/node"
)

// Capabilities that the handshake announces (erts "Distribution Protocol", Distribution Flags): what
// package etf reads and writes, and what OTP 26 and later insist on. PUBLISHED (0x1) is missing, so that
// the agent is a hidden node: it stays out of nodes() and of global.
const (
	extendedReferences = 0x4
	distMonitor        = 0x8
	funTags            = 0x10
	newFunTags         = 0x80
	extendedPidsPorts  = 0x100
	exportPtrTag       = 0x200
	bitBinaries        = 0x400
	newFloats          = 0x800
	utf8Atoms          = 0x10000
	mapTag             = 0x20000
	bigCreation        = 0x40000
	handshake23        = 0x1000000
	unlinkID           = 0x2000000
	v4NodeContainers   = 1 << 34

	ourFlags = extendedReferences | distMonitor | funTags | newFunTags | extendedPidsPorts | exportPtrTag |
		bitBinaries | newFloats | utf8Atoms | mapTag | bigCreation | handshake23 | unlinkID | v4NodeContainers
)

// maxHandshakeMessage is far above the longest message, a challenge with a name of 255 characters.
const maxHandshakeMessage = 2048

var (
	// ErrCookie says that the node and we do not share the cookie.
	ErrCookie = errors.New("the cookie is wrong")
	// ErrHandshake says that what listens there is not the node that was asked for, or refuses us.
	ErrHandshake = errors.New("the handshake went wrong")
)

// handshake is version 6 of the distribution handshake, the connecting side (kernel dist_util:handshake_we_started/1).
// It is ergo's plug for it; ergo keeps the reason of a failure to itself, so it stands in err.
type handshake struct {
	name     string // ours
	peer     string // whom we expect
	cookie   string // not ergo's: its node has a random one
	tls      *TLS
	deadline time.Time
	started  bool
	conn     lib.NetReadWriter // of TLS where the node wants that
	err      error
}

// Init has nothing to add to what Connect knows.
func (h *handshake) Init(string, uint32, node.Flags) error { return nil }

// Version is the only one that OTP 25 and later speak.
func (h *handshake) Version() node.HandshakeVersion { return 6 }

// Accept refuses: nobody connects to the agent. io.EOF is the one error that ergo does not print.
func (h *handshake) Accept(net.Addr, lib.NetReadWriter, bool, string) (node.HandshakeDetails, error) {
	return node.HandshakeDetails{}, io.EOF
}

// Start runs the handshake within the deadline and leaves the connection without one.
func (h *handshake) Start(_ net.Addr, conn lib.NetReadWriter, _ bool, _ string) (node.HandshakeDetails, error) {
	h.started = true
	creation, err := h.over(conn)
	if err != nil {
		h.err = err
		return node.HandshakeDetails{}, err
	}
	return node.HandshakeDetails{Name: h.peer, Creation: creation, Version: int(h.Version())}, nil
}

// over runs the handshake over a connection, in TLS where the node wants that.
func (h *handshake) over(conn lib.NetReadWriter) (creation uint32, err error) {
	h.conn = conn
	if plain, is := conn.(net.Conn); is && h.tls != nil {
		ctx, cancel := context.WithDeadline(context.Background(), h.deadline)
		defer cancel()
		if h.conn, err = h.tls.wrap(ctx, plain); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(h.conn.SetReadDeadline(h.deadline), h.conn.SetWriteDeadline(h.deadline)); err != nil {
		return 0, err
	}
	if creation, err = h.run(wire{h.conn, h.tls != nil}); err != nil {
		return 0, err
	}
	return creation, errors.Join(h.conn.SetReadDeadline(time.Time{}), h.conn.SetWriteDeadline(time.Time{}))
}

func (h *handshake) run(conn wire) (creation uint32, err error) {
	if err := h.introduce(conn); err != nil {
		return 0, err
	}
	challenge, creation, err := h.readChallenge(conn)
	if err != nil {
		return 0, err
	}
	return creation, answer(conn, h.cookie, challenge)
}

// introduce sends our name and reads the status. Every connection has a name of its own, so the node
// never thinks that it is connected to us already ("alive", "ok_simultaneous").
func (h *handshake) introduce(conn wire) error {
	msg := binary.BigEndian.AppendUint64([]byte{'N'}, ourFlags)
	msg = binary.BigEndian.AppendUint32(msg, ourCreation)
	msg = binary.BigEndian.AppendUint16(msg, uint16(len(h.name)))
	if err := conn.write(append(msg, h.name...)); err != nil {
		return err
	}
	status, err := conn.read('s')
	if err != nil {
		return err
	}
	if string(status) != "ok" {
		return fmt.Errorf("%w: the node says %q", ErrHandshake, status)
	}
	return nil
}

func (h *handshake) readChallenge(conn wire) (challenge, creation uint32, err error) {
	msg, err := conn.read('N')
	if err != nil {
		return 0, 0, err
	}
	const head = 8 + 4 + 4 + 2 // flags, challenge, creation, length of the name
	if len(msg) < head || len(msg) < head+int(binary.BigEndian.Uint16(msg[16:])) {
		return 0, 0, fmt.Errorf("%w: the challenge is cut short", ErrHandshake)
	}
	name := string(msg[head:][:binary.BigEndian.Uint16(msg[16:])])
	if name != h.peer {
		return 0, 0, fmt.Errorf("%w: the node there is %q", ErrHandshake, name)
	}
	return binary.BigEndian.Uint32(msg[8:]), binary.BigEndian.Uint32(msg[12:]), nil
}

// answer proves that we know the cookie and has the node prove the same. A node that does not like our
// proof hangs up without a word (dist_util:recv_challenge_reply/3).
func answer(conn wire, cookie string, challenge uint32) error {
	var ours [4]byte
	if _, err := rand.Read(ours[:]); err != nil {
		return err
	}
	proof := digest(cookie, challenge)
	if err := conn.write(append(append([]byte{'r'}, ours[:]...), proof[:]...)); err != nil {
		return err
	}
	ack, err := conn.read('a')
	if errors.Is(err, errHungUp) {
		return ErrCookie
	}
	if err != nil {
		return err
	}
	want := digest(cookie, binary.BigEndian.Uint32(ours[:]))
	if subtle.ConstantTimeCompare(ack, want[:]) != 1 {
		return ErrCookie
	}
	return nil
}

func digest(cookie string, challenge uint32) [md5.Size]byte {
	return md5.Sum([]byte(cookie + strconv.FormatUint(uint64(challenge), 10)))
}

var errHungUp = fmt.Errorf("%w: the node hung up", ErrHandshake)

// wire carries the messages of a handshake: each has its length in front, in two bytes, over TLS in four
// (ssl: inet_tls_dist has {packet, 4} from the beginning).
type wire struct {
	lib.NetReadWriter
	wide bool
}

func (w wire) write(msg []byte) error {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(msg)))
	if w.wide {
		framed = binary.BigEndian.AppendUint32(nil, uint32(len(msg)))
	}
	if _, err := w.Write(append(framed, msg...)); err != nil {
		return errHungUp
	}
	return nil
}

// read reads a message that must start with kind, and not a byte more: what follows the last one belongs to
// the connection.
func (w wire) read(kind byte) ([]byte, error) {
	n, err := w.readLength()
	if err != nil {
		return nil, handshakeError(err)
	}
	if n == 0 || n > maxHandshakeMessage {
		return nil, fmt.Errorf("%w: a message of %d bytes; no Erlang node listens there", ErrHandshake, n)
	}
	msg := make([]byte, n)
	if _, err := io.ReadFull(w, msg); err != nil {
		return nil, handshakeError(err)
	}
	if msg[0] != kind {
		return nil, fmt.Errorf("%w: message %q in place of %q", ErrHandshake, msg[0], kind)
	}
	return msg[1:], nil
}

func (w wire) readLength() (uint32, error) {
	size := make([]byte, 4)
	if !w.wide {
		size = size[2:]
	}
	_, err := io.ReadFull(w, size)
	if w.wide {
		return binary.BigEndian.Uint32(size), err
	}
	return uint32(binary.BigEndian.Uint16(size)), err
}

func handshakeError(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: no answer in time", ErrHandshake)
	}
	if alert, is := errors.AsType[*net.OpError](err); is && alert.Op == "remote error" { // of TLS 1.3, which judges our certificate late
		return fmt.Errorf("%w: TLS: the node says: %w", ErrHandshake, alert.Err)
	}
	return errHungUp
}
