package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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
		return errors.New("the request comes from another PID namespace")
	case peer.Uid == 0 || peer.Uid == p.Own || slices.Contains(p.UID, peer.Uid):
		return nil
	}
	return fmt.Errorf("uid %d may not use this agent", peer.Uid)
}

type verdictKey struct{}

// verdict is what the policy says of the peer of one connection.
type verdict struct{ err error }

// withVerdict judges the peer when it connects.
func (p Policy) withVerdict(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, verdictKey{}, verdict{p.check(peerOf(c))})
}

// forbidden is nil when the peer of the request may ask. A request of an unjudged peer is refused.
func forbidden(ctx context.Context) *api.Error {
	v, judged := ctx.Value(verdictKey{}).(verdict)
	if !judged {
		v.err = errors.New("nobody has judged the peer")
	}
	if v.err == nil {
		return nil
	}
	return &api.Error{
		Code: api.CodeForbidden, Message: fmt.Sprintf("cannot answer: %v", v.err),
		Hint: "AGENT_ALLOW_UIDS names more users that may ask",
	}
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
