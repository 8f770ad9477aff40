// Command actor is a plugin that does what ACT says: as the worst ones do, and as good ones.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"theseus/agent/plugin"
	"theseus/agent/plugin/wire"
)

type actor struct{ act string }

func (a actor) Check(context.Context, plugin.Question) error {
	switch a.act {
	case "refuses":
		return errors.New("the queue is long")
	case "slow":
		<-time.After(300 * time.Millisecond)
	case "hangs":
		select {}
	case "crashes":
		os.Exit(7)
	case "floods":
		return errors.New(strings.Repeat("no ", 10<<20))
	case "chats": // on what nobody reads
		for range 1 << 14 {
			fmt.Println(strings.Repeat("words ", 100))
			fmt.Fprintln(os.Stderr, strings.Repeat("words ", 100))
		}
	case "leaves": // somebody in a session of its own
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return cmd.Start()
	case "stops": // another thread may take the signal, while this one goes on
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {}
	case "lies":
		return errors.New("")
	}
	return nil
}

func (a actor) Fetch(_ context.Context, reference string, config map[string]string, to io.Writer) error {
	switch a.act {
	case "refuses":
		return errors.New("there is no " + reference)
	case "speaks in lines":
		return errors.New("one\ntwo\x1b[31m\n" + strings.Repeat("more\n", 1000))
	case "empty":
		return nil
	case "waits":
		select {}
	case "floods":
		for {
			if _, err := to.Write(make([]byte, 100_000)); err != nil {
				return err
			}
		}
	}
	if dir := config["dir"]; dir != "" {
		name, _, _ := strings.Cut(reference, "?")
		return a.copies(filepath.Join(dir, name), to)
	}
	for range 64 {
		if _, err := to.Write([]byte(strings.Repeat("x", 100_000))); err != nil {
			return err
		}
		if a.act == "crashes" {
			os.Exit(7)
		}
		if a.act == "hangs" {
			select {}
		}
	}
	return nil
}

// copies is a source as good ones are, or one that breaks off.
func (a actor) copies(path string, to io.Writer) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if a.act == "breaks off" {
		_, _ = to.Write(content[:len(content)/2])
		return errors.New("the store is gone")
	}
	_, err = to.Write(content)
	return err
}

// liar announces another length than it sends, which package plugin does not let its users do.
type liar struct {
	goplugin.NetRPCUnsupportedPlugin
	wire.UnimplementedSourceServer
	announced int64
}

func (l *liar) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	wire.RegisterSourceServer(s, l)
	return nil
}

func (*liar) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.ErrUnsupported
}

func (l *liar) Fetch(_ *wire.FetchRequest, stream grpc.ServerStreamingServer[wire.Chunk]) error {
	for range 10 {
		if err := stream.Send(&wire.Chunk{Data: make([]byte, 100_000), Size: l.announced}); err != nil {
			return err
		}
	}
	return nil
}

func lie(announced int64) {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: plugin.Version, MagicCookieKey: "THESEUS_PLUGIN", MagicCookieValue: "gate-or-source"},
		VersionedPlugins: map[int]goplugin.PluginSet{plugin.Version: {"source": &liar{announced: announced}}},
		GRPCServer:       goplugin.DefaultGRPCServer,
	})
}

// hang waits in the kernel: where nothing but Go waits, the runtime of a static program finds a deadlock, and ends it.
func hang() {
	for {
		_ = syscall.Pause()
	}
}

func main() {
	act := os.Getenv("ACT")
	switch act {
	case "crashes at start":
		os.Exit(9)
	case "hangs at start":
		hang()
	case "speaks at start":
		fmt.Println("hello")
		hang()
	case "floods at start":
		for {
			fmt.Print(strings.Repeat("flood ", 10_000))
		}
	case "another version":
		fmt.Println("1|2|unix|" + os.Getenv(goplugin.EnvUnixSocketDir) + "/s|grpc")
		hang()
	case "another protocol":
		fmt.Println("2|1|unix|" + os.Getenv(goplugin.EnvUnixSocketDir) + "/s|grpc")
		hang()
	case "no TLS": // as who wants to listen elsewhere
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc")
		hang()
	case "announces more":
		lie(1 << 40)
		return
	case "announces less":
		lie(150_000)
		return
	case "only a source":
		plugin.Serve(plugin.Plugin{Source: actor{act}})
		return
	}
	plugin.Serve(plugin.Plugin{Gate: actor{act}, Source: actor{act}})
}
