package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
)

// Policy says whose requests are answered. The socket file itself is open to all, since without capabilities
// not even root can open one that belongs to another user; the kernel's word on the peer decides.
type Policy struct {
	Own uint32   // the agent's uid
	UID []uint32 // more of them
}

// check refuses a peer that is not allowed. A pid of 0 is a process that this PID namespace cannot see: one of
// another container that shares the directory, whose uid says nothing here.
func (p Policy) check(peer *unix.Ucred, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("cannot tell who asks: %w", err)
	case peer.Pid == 0:
		return errElsewhere
	case peer.Uid == 0 || peer.Uid == p.Own || slices.Contains(p.UID, peer.Uid):
		return nil
	}
	return fmt.Errorf("uid %d may not use this agent", peer.Uid)
}

// maxStrangers is how many connections of refused peers there are at most. They hear why; but a descriptor of PID 1 that a
// stranger holds is one that the agent cannot use.
const maxStrangers = 16

// door judges each peer as it connects.
type door struct {
	net.Listener
	policy    Policy
	strangers chan struct{} // holds a token for each
}

func (p Policy) guard(l net.Listener) door { return door{l, p, make(chan struct{}, maxStrangers)} }

// Accept hangs up on strangers when there are too many of them.
func (d door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, refused: d.policy.check(peerOf(c))}
		if g.refused == nil {
			return g, nil
		}
		select {
		case d.strangers <- struct{}{}:
			g.leave = sync.OnceFunc(func() { <-d.strangers })
			return g, nil
		default:
			c.Close()
		}
	}
}

// guest is a connection whose peer was judged.
type guest struct {
	net.Conn
	refused error  // why nothing is answered; nil: everything is
	leave   func() // of a stranger
}

func (g *guest) Close() error {
	if g.leave != nil {
		defer g.leave()
	}
	return g.Conn.Close()
}

var errElsewhere = errors.New("the request comes from another PID namespace")

type guestKey struct{}

func withGuest(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, c)
}

// forbidden is nil when the peer of the request may ask. A request of an unjudged peer is refused.
func forbidden(ctx context.Context) *api.Error {
	refused := errors.New("nobody has judged the peer")
	if g, judged := ctx.Value(guestKey{}).(*guest); judged {
		refused = g.refused
	}
	if refused == nil {
		return nil
	}
	e := &api.Error{
		Code: api.CodeForbidden, Message: fmt.Sprintf("cannot answer: %v", refused),
		Hint: "AGENT_ALLOW_UIDS names more users that may ask",
	}
	if errors.Is(refused, errElsewhere) {
		e.Hint = "ask from within the container (docker exec), or share its PID namespace"
	}
	return e
}

func peerOf(c net.Conn) (*unix.Ucred, error) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return nil, errors.New("no unix socket")
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		peer, sockErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return peer, errors.Join(err, sockErr)
}
