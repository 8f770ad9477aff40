package rpc

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strings"

	"github.com/ergo-services/ergo/etf"
	"github.com/ergo-services/ergo/lib"
	"github.com/ergo-services/ergo/node"
)

// ergo prints warnings with package log. What is worth knowing here is an error of ours.
var _ = flag.Set("ergo.warning", "false")

// startNode starts the node of ergo without any of the applications that ergo.StartNode adds (one of
// which calls home; it is not even linked). Such a node insists on a listener: it is on loopback, its port
// and cookie are random, and our handshake accepts nobody. The port is none that the kernel gives to who asks for any
// (net.ipv4.ip_local_port_range), such as the next node.
func startNode(ctx context.Context, addr *net.TCPAddr, h *handshake, p *protocol) (node.Node, error) {
	return node.StartWithContext(ctx, h.name, rand.Text(), node.Options{
		Creation:  ourCreation,
		Handshake: h,
		Proto:     p,
		Registrar: registrar{addr: addr},
		System:    node.System{DisableAnonMetrics: true},
		Listeners: []node.Listener{{
			Cookie:      rand.Text(),
			Hostname:    "127.0.0.1",
			ListenBegin: uint16(20_000 + mathrand.IntN(12_000)),
		}},
	})
}

// ourName is new for each connection, so that a node never takes one for another, and has the host part of the
// peer's name, so that long and short names (-name, -sname) both go with it.
func ourName(peer string) (string, error) {
	name, host, ok := strings.Cut(peer, "@")
	if !ok || name == "" || host == "" || strings.Contains(host, "@") || len(peer) > 255 {
		return "", fmt.Errorf("cannot connect to %q: not the name of a node", peer)
	}
	return fmt.Sprintf("theseus-%08x@%s", mathrand.Uint32(), host), nil
}

// registrar is ergo's plug for finding nodes. It knows one address, and tells nobody about us: no epmd.
type registrar struct{ addr *net.TCPAddr }

func (r registrar) Resolve(name string) (node.Route, error) {
	return node.Route{Node: name, Host: r.addr.IP.String(), Port: uint16(r.addr.Port)}, nil
}

func (registrar) Register(context.Context, string, node.RegisterOptions) error { return nil }

func (registrar) RegisterProxy(string, int, node.ProxyFlags) error { return lib.ErrUnsupported }

func (registrar) UnregisterProxy(string) error { return lib.ErrUnsupported }

func (registrar) ResolveProxy(string) (node.ProxyRoute, error) {
	return node.ProxyRoute{}, lib.ErrUnsupported
}

func (registrar) Config() (node.RegistrarConfig, error) {
	return node.RegistrarConfig{}, lib.ErrUnsupported
}

func (registrar) ConfigItem(string) (etf.Term, error) { return nil, lib.ErrUnsupported }

func (registrar) SetConfigUpdateCallback(func(string, etf.Term) error) error {
	return lib.ErrUnsupported
}
