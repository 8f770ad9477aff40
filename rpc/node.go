// Package rpc is the Erlang node seen from Go: one hidden connection over the distribution protocol,
// calls with a deadline, the release_handler as typed functions, and what there is to observe in a node.
//
// It is the only user of ergo, whose node makes and keeps the connection. The handshake, the name
// service and the protocol on the wire are plugs of ours.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ergo-services/ergo/node"

	"theseus/rpc/term"
)

// handshakeTime is net_setuptime's default (kernel), after which a node gives up on a handshake as well.
const handshakeTime = 7 * time.Second

// ErrRefused says that nothing listens at the address: the node is not up yet, or gone.
var ErrRefused = errors.New("nothing listens there")

// Target says which node, where it listens for distribution, and the cookie that it knows us by.
type Target struct {
	Node   string // demo@127.0.0.1, or demo@host for a node with a short name
	Addr   string // 127.0.0.1:PORT
	Epmd   string // 127.0.0.1:4369, which is asked for the port in the place of that of Addr; empty: it is not
	Cookie string
	TLS    *TLS // nil: the node speaks in the clear
}

// Node is a connection to one incarnation of a node. When that ends, the connection does; to reach the
// next incarnation, Close it and Connect anew.
type Node struct {
	link *link
	ergo node.Node
	stop context.CancelFunc

	starter chan term.Term // one: the process in the node that starts sessions, or nil; whoever has taken it out has the lock
}

// Connect connects to a node as a hidden node with a name of its own. It takes until ctx ends, or 7 s. The
// error wraps ErrRefused, ErrHandshake or ErrCookie; nothing is retried. A process connects to one node at a time:
// ergo has globals that a second one would share.
func Connect(ctx context.Context, t Target) (*Node, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	n, err := connect(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s at %s: %w", t.Node, t.Addr, err)
	}
	return n, nil
}

func connect(ctx context.Context, t Target) (*Node, error) {
	addr, err := t.Resolve(ctx)
	if err != nil {
		return nil, err
	}
	name, err := ourName(t.Node)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	shake := &handshake{name: name, peer: t.Node, cookie: t.Cookie, tls: t.TLS, deadline: deadline}
	proto := &protocol{name: name, shake: shake}
	nodeCtx, stop := context.WithCancel(context.Background())
	ergo, err := startNode(nodeCtx, addr, shake, proto)
	if err != nil {
		stop()
		return nil, err
	}
	n := &Node{ergo: ergo, stop: stop, starter: make(chan term.Term, 1)}
	n.starter <- nil
	detach := context.AfterFunc(ctx, stop) // a dial of ergo's ends with its node only
	err = ergo.Connect(t.Node)
	if !detach() && err == nil {
		err = context.Cause(ctx)
	}
	n.link = proto.link
	if err != nil {
		n.Close()
		return nil, reason(ctx, addr, shake, err)
	}
	return n, nil
}

// reason finds out why ergo has no connection, which it does not tell.
func reason(ctx context.Context, addr *net.TCPAddr, h *handshake, err error) error {
	switch {
	case h.err != nil:
		return h.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case h.started:
		return err
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr.String())
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%w, though now something does", ErrRefused)
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// Close ends the connection and waits for what runs on it. Calls in flight return ErrUnknownOutcome.
func (n *Node) Close() {
	n.stop()
	n.ergo.Stop()
	if n.link == nil {
		return
	}
	n.link.hangUp()
	<-n.link.done
}

// Done is closed when the connection is lost or closed.
func (n *Node) Done() <-chan struct{} { return n.link.done }

// Connected says whether the connection stands.
func (n *Node) Connected() bool { return !n.link.lost() }
