package agent

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"theseus/agent/erlexec"
	"theseus/agent/family"
	"theseus/rpc"
	"theseus/rpc/term"
)

const (
	loopback  = "127.0.0.1"
	epmdPort  = "4369"
	firstPort = 26 // the OTP that knows the parameter erl_epmd_node_listen_port
)

// distribution is how a node listens for others and is found by them. A release that says nothing of that has a node for
// this machine alone, without epmd; what it does say is neither contradicted nor repeated.
type distribution struct {
	said    erlexec.Args
	kernel  map[string]term.Term // kernel's parameters
	environ []string
	otp     int
	host    string // of the node's name, where the release gives one
}

func distributionOf(said erlexec.Args, environ []string, erts string) distribution {
	name, _ := said.Name()
	_, host, _ := strings.Cut(name, "@")
	otp, _ := strconv.Atoi(erlexec.OTP(erts))
	return distribution{said: said, kernel: said.Parameters("kernel"), environ: environ, otp: otp, host: host}
}

// open says that others are meant to reach the node: by a name with the host of a network, by epmd, by ports, interfaces
// or a protocol of its own, or because it waits for them.
func (d distribution) open() bool {
	if d.said.First("-start_epmd") == "true" || d.said.Has("-epmd_module") || d.said.Has("-proto_dist") {
		return true
	}
	for _, key := range []string{"inet_dist_listen_min", "sync_nodes_mandatory", "sync_nodes_optional"} {
		if d.kernel[key] != nil {
			return true
		}
	}
	ip := d.listensOn()
	local := d.host == "" || d.host == "localhost" || strings.HasPrefix(d.host, "localhost.") || net.ParseIP(d.host).IsLoopback()
	return ip != nil && !ip.IsLoopback() || !local
}

// listensOn is the one interface that the release names; nil: it names none.
func (d distribution) listensOn() net.IP {
	tuple, _ := d.kernel["inet_dist_use_interface"].(term.Tuple)
	switch len(tuple) {
	case net.IPv4len:
		return ipOf(tuple, 1)
	case net.IPv6len / 2:
		return ipOf(tuple, 2)
	}
	return nil
}

func ipOf(tuple term.Tuple, width int) (ip net.IP) {
	for _, e := range tuple {
		n, _ := term.AsInt(e)
		if width == 2 {
			ip = append(ip, byte(n>>8))
		}
		ip = append(ip, byte(n))
	}
	return ip
}

// port is the one on which the node will listen, as far as the release gives it; relx's own script takes ERL_DIST_PORT
// for that. Empty: it is found out by epmd, or the agent's to choose.
func (d distribution) port() string {
	if port := d.said.First("-erl_epmd_port"); port != "" {
		return port
	}
	if d.listenPort() != "" {
		return d.listenPort()
	}
	if d.said.Has("-epmd_module") { // which is not told of ERL_DIST_PORT, but may take what kernel has
		return d.onlyPort()
	}
	return family.Lookup(d.environ, "ERL_DIST_PORT")
}

// onlyPort is that of a range of one.
func (d distribution) onlyPort() string {
	least, is := term.AsInt(d.kernel["inet_dist_listen_min"])
	most, ranges := term.AsInt(d.kernel["inet_dist_listen_max"])
	if !is || ranges && most != least {
		return ""
	}
	return strconv.FormatInt(least, 10)
}

// listenPort is what excludes -erl_epmd_port (kernel: erl_epmd:erl_epmd_node_listen_port/0).
func (d distribution) listenPort() string {
	port, is := term.AsInt(d.kernel["erl_epmd_node_listen_port"])
	if !is || d.otp < firstPort {
		return ""
	}
	return strconv.FormatInt(port, 10)
}

// reach is what the command line still lacks, and how the node is then reached.
func (d distribution) reach(c Config) (lacks []string, t rpc.Target, err error) {
	if t.TLS, err = tlsOf(d.said); err != nil {
		return nil, t, err
	}
	port := d.port()
	switch {
	case port == "" && d.said.Has("-epmd_module"):
		return nil, t, errors.New("it has -epmd_module, and says nowhere on which port its node will listen: give it -kernel inet_dist_listen_min and inet_dist_listen_max, one port")
	case port == "" && d.open():
		t.Epmd = net.JoinHostPort(loopback, cmp.Or(d.said.First("-epmd_port"), d.said.Env(d.environ, "ERL_EPMD_PORT"), epmdPort))
	case port == "":
		if port, err = freePort(c); err != nil {
			return nil, t, err
		}
	}
	t.Addr = net.JoinHostPort(d.reachedAt(), cmp.Or(port, "0"))
	return d.lacks(port), t, nil
}

// reachedAt is an address of this machine on which the node listens.
func (d distribution) reachedAt() string {
	if ip := d.listensOn(); ip != nil && !ip.IsUnspecified() {
		return ip.String()
	}
	return loopback
}

// lacks are the arguments that the release leaves to others. -erl_epmd_port counts for connections to other nodes, too,
// so a node that asks epmd for them gets none.
func (d distribution) lacks(port string) (args []string) {
	if port != "" && !d.said.Has("-epmd_module") {
		given := d.said.Has("-erl_epmd_port") || d.listenPort() != ""
		if !d.said.Has("-start_epmd") && (!given || !d.open()) {
			args = append(args, "-start_epmd", "false")
		}
		if !given {
			args = append(args, "-erl_epmd_port", port)
		}
	}
	if d.kernel["inet_dist_use_interface"] == nil && !d.open() {
		args = append(args, "-kernel", "inet_dist_use_interface", "{127,0,0,1}")
	}
	return args
}

// freePort is as configured, or one that is free now.
func freePort(c Config) (string, error) {
	if c.DistPort != 0 {
		return strconv.Itoa(c.DistPort), nil
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return "", fmt.Errorf("cannot find a free port for the node's distribution: %w", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// protocols are those that the agent speaks; the last two are in TLS.
var protocols = []string{"inet_tcp", "inet6_tcp", "inet_tls", "inet6_tls"}

func tlsOf(said erlexec.Args) (*rpc.TLS, error) {
	proto := cmp.Or(said.First("-proto_dist"), protocols[0])
	switch i := slices.Index(protocols, proto); {
	case i < 0:
		return nil, fmt.Errorf("it has -proto_dist %s, and the agent speaks %s", proto, strings.Join(protocols, ", "))
	case i < 2:
		return nil, nil
	}
	return certificates(said)
}
