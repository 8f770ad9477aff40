// Package plugin is what a plugin of the agent is made with, in Go, and what agent-plugin asks plugins with. It is the only
// package that knows go-plugin, and no part of the agent itself. The protocol is in wire/plugin.proto, and docs/plugins.md is its
// manual, also for other languages; template is a plugin to begin with.
package plugin

import (
	"context"
	"errors"
	"io"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"theseus/agent/plugin/wire"
)

// Version of the protocol.
const Version = 1

// Kinds of plugins, as they are called in the handshake.
const (
	gateKind   = "gate"
	sourceKind = "source"
)

// handshake keeps a plugin from being started by hand, and the agent from what is none.
var handshake = goplugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: "THESEUS_PLUGIN", MagicCookieValue: "gate-or-source"}

// Question is what a gate is asked.
type Question struct {
	When     string // before, after, settle
	Upgrade  string // its id
	Release  string // its name
	From, To string // versions
	Config   map[string]string
}

// Gate says whether the system is well.
type Gate interface {
	// Check is nil when it is, or says what is not, in a line. ctx ends when nobody waits any more.
	Check(ctx context.Context, q Question) error
}

// Source fetches packages.
type Source interface {
	// Fetch writes the package that the reference names. The agent checks it as any other: nothing has to be verified here.
	Fetch(ctx context.Context, reference string, config map[string]string, to io.Writer) error
}

// Plugin is what a program offers; either may be nil.
type Plugin struct {
	Gate   Gate
	Source Source
}

// Serve is the main function of a plugin. It returns when the agent has no more questions.
func Serve(p Plugin) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: map[int]goplugin.PluginSet{Version: set(p)},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}

func set(p Plugin) goplugin.PluginSet {
	return goplugin.PluginSet{gateKind: &gatePlugin{serves: p.Gate}, sourceKind: &sourcePlugin{serves: p.Source}}
}

// gatePlugin is a gate for go-plugin, on either side.
type gatePlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	wire.UnimplementedGateServer
	serves Gate
}

// GRPCServer is the plugin's side.
func (p *gatePlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	if p.serves != nil {
		wire.RegisterGateServer(s, p)
	}
	return nil
}

// GRPCClient is the agent's side.
func (*gatePlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return wire.NewGateClient(c), nil
}

// Check answers.
func (p *gatePlugin) Check(ctx context.Context, r *wire.CheckRequest) (*wire.CheckResponse, error) {
	objection := p.serves.Check(ctx, Question{
		When: r.GetWhen(), Upgrade: r.GetUpgrade(), Release: r.GetRelease(), From: r.GetFrom(), To: r.GetTo(), Config: r.GetConfig(),
	})
	if objection == nil {
		return &wire.CheckResponse{Ok: true}, nil
	}
	return &wire.CheckResponse{Reason: objection.Error()}, nil
}

// sourcePlugin is a source for go-plugin, on either side.
type sourcePlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	wire.UnimplementedSourceServer
	serves Source
}

// GRPCServer is the plugin's side.
func (p *sourcePlugin) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	if p.serves != nil {
		wire.RegisterSourceServer(s, p)
	}
	return nil
}

// GRPCClient is the agent's side.
func (*sourcePlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return wire.NewSourceClient(c), nil
}

// Fetch sends what the source writes.
func (p *sourcePlugin) Fetch(r *wire.FetchRequest, stream grpc.ServerStreamingServer[wire.Chunk]) error {
	return p.serves.Fetch(stream.Context(), r.GetReference(), r.GetConfig(), chunks{stream})
}

// maxChunk is how much of a package is sent at once, bytes.
const maxChunk = 1 << 20

type chunks struct {
	stream grpc.ServerStreamingServer[wire.Chunk]
}

func (c chunks) Write(data []byte) (n int, err error) {
	for len(data) > n && err == nil {
		piece := data[n:min(len(data), n+maxChunk)]
		if err = c.stream.Send(&wire.Chunk{Data: piece}); err == nil {
			n += len(piece)
		}
	}
	return n, err
}

var errNoReason = errors.New("it has an objection and no reason")
