package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"theseus/agent/plugin/wire"
)

// farewell is how long a plugin has to take notice that nobody has more questions. Whoever started this process ends it then.
const farewell = 200 * time.Millisecond

// Program is a plugin that is not started yet.
type Program struct {
	Path   string
	SHA256 string // of its file, in hex
	Plain  bool   // it cannot speak TLS
	Dir    string // for its socket; nobody else's
}

// Client asks a plugin that runs.
type Client struct {
	plugin *goplugin.Client
	conn   goplugin.ClientProtocol
}

// Start starts a plugin whose file has the digest. Where it does not speak TLS, the directory of its socket is what keeps
// others out.
func Start(p Program) (*Client, error) {
	sum, err := hex.DecodeString(p.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cannot use the digest %q: %w", p.SHA256, err)
	}
	cmd := exec.Command(p.Path) //nolint:noctx // go-plugin ends it, or who started this process does
	cmd.Env = []string{goplugin.EnvUnixSocketDir + "=" + p.Dir}
	c := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{Version: set(Plugin{})},
		Cmd:              cmd,
		SecureConfig:     &goplugin.SecureConfig{Checksum: sum, Hash: sha256.New()},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         !p.Plain,
		Managed:          true,
		Logger:           hclog.NewNullLogger(),
		GRPCDialOptions:  []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxChunk + 64<<10))},
	})
	addr, err := c.Start()
	if err == nil && p.Plain {
		err = private(addr, p.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start the plugin: %w", startError(err))
	}
	conn, err := c.Client()
	if err != nil {
		return nil, fmt.Errorf("cannot talk to the plugin: %w", err)
	}
	return &Client{c, conn}, nil
}

// private says whether nobody else can have made the socket, or reach it.
func private(addr net.Addr, dir string) error {
	if addr.Network() == "unix" && filepath.Dir(addr.String()) == filepath.Clean(dir) {
		return nil
	}
	return fmt.Errorf("it speaks no TLS, and listens at %s, not in PLUGIN_UNIX_SOCKET_DIR", addr)
}

// startError has the first line of what go-plugin says; the others are for the authors of what asks.
func startError(err error) error {
	if errors.Is(err, goplugin.ErrChecksumsDoNotMatch) {
		return errors.New("its file has another sha256")
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return errors.New(line)
}

// Version is that of the protocol on which both sides have agreed.
func (c *Client) Version() int { return c.plugin.NegotiatedVersion() }

// Check asks a gate. The error is what it objects to, or why there is no answer.
func (c *Client) Check(ctx context.Context, q Question) error {
	raw, err := c.conn.Dispense(gateKind)
	if err != nil {
		return err
	}
	answer, err := raw.(wire.GateClient).Check(ctx, &wire.CheckRequest{
		When: q.When, Upgrade: q.Upgrade, Release: q.Release, From: q.From, To: q.To, Config: q.Config,
	})
	switch {
	case err != nil:
		return callError(err, "gate")
	case answer.GetOk() && answer.GetReason() != "":
		return fmt.Errorf("it says both that all is well and what is not: %s", answer.GetReason())
	case answer.GetOk():
		return nil
	case answer.GetReason() == "":
		return errNoReason
	}
	return errors.New(answer.GetReason())
}

// Fetch has a source write a package. A stream that ends early is an error where the plugin has said how long it is.
func (c *Client) Fetch(ctx context.Context, reference string, config map[string]string, to io.Writer) error {
	raw, err := c.conn.Dispense(sourceKind)
	if err != nil {
		return err
	}
	stream, err := raw.(wire.SourceClient).Fetch(ctx, &wire.FetchRequest{Reference: reference, Config: config})
	if err != nil {
		return callError(err, "source")
	}
	var done, size int64
	for {
		chunk, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && (done == 0 || size > 0 && done != size):
			return fmt.Errorf("it has sent %d bytes of %d", done, size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return callError(err, "source")
		}
		if done == 0 {
			size = chunk.GetSize()
		}
		n, err := to.Write(chunk.GetData())
		done += int64(n)
		switch {
		case err != nil:
			return err
		case size > 0 && done > size:
			return fmt.Errorf("it has sent more than the %d bytes that it has announced", size)
		}
	}
}

func callError(err error, kind string) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unimplemented:
		return fmt.Errorf("the plugin is no %s", kind)
	case codes.Unknown: // what a plugin's own function returned
		return errors.New(s.Message())
	}
	return fmt.Errorf("%s (%s)", s.Message(), s.Code())
}

// Close tells the plugin that nobody has more questions. What does not end for that is left to whoever ends this process.
func (c *Client) Close() {
	told := make(chan struct{})
	go func() {
		defer close(told)
		_ = c.conn.Close()
	}()
	select {
	case <-told:
	case <-time.After(farewell):
	}
}

// EndAll ends every plugin that was started, whatever it is doing.
func EndAll() { goplugin.CleanupClients() }
