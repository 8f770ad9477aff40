package rpc_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/integration/emulator"
	"theseus/integration/need"
	"theseus/rpc"
	"theseus/rpc/term"
)

const cookie = "oatmeal"

// erlang is a running node and what is needed to reach it.
type erlang struct {
	rpc.Target
	cmd    *exec.Cmd
	log    string // the file with what it prints
	exited chan struct{}
}

// startErlang boots a node on a port of its own, in the image of AGENT_TEST_OTP (25, 27, 29) or with the host's erl.
func startErlang(t testing.TB, flags ...string) *erlang {
	t.Helper()
	return start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: t.TempDir(), flags: flags})
}

// boot says what to start.
type boot struct {
	program    string // erl, or a path
	name, host string // -name or -sname, and the host part of the node's name
	dir        string // $HOME
	env, flags []string
	epmd       bool // it listens where it likes, and registers with an epmd of its own
}

func start(t testing.TB, b boot) *erlang {
	t.Helper()
	port := emulator.FreePort(t)
	e := &erlang{
		Target: rpc.Target{Node: fmt.Sprintf("x%d@%s", port, b.host), Addr: fmt.Sprintf("127.0.0.1:%d", port), Cookie: cookie},
		log:    filepath.Join(t.TempDir(), "log"),
		exited: make(chan struct{}),
	}
	_ = os.Remove(filepath.Join(b.dir, ".erlang.cookie")) // of an earlier node on the same release root
	if err := os.WriteFile(filepath.Join(b.dir, ".erlang.cookie"), []byte(cookie), 0o400); err != nil {
		t.Fatal(err)
	}
	dist := []string{"-start_epmd", "false", "-erl_epmd_port", fmt.Sprint(port)}
	if b.epmd {
		dist, b.env = nil, append(b.env, fmt.Sprintf("ERL_EPMD_PORT=%d", port))
		e.Epmd, e.Addr = e.Addr, "127.0.0.1:0"
		startEpmd(t, port)
	}
	b.flags = append(append([]string{"-noinput", b.name, e.Node, "-kernel", "inet_dist_use_interface", "{127,0,0,1}"}, dist...), b.flags...)
	e.run(t, emulator.Program{Name: b.program, Home: b.dir, Env: b.env, Args: b.flags}.Command(t))
	return e
}

// startEpmd runs an epmd that ends with the test. One in a container is started by erl, and ends with that.
func startEpmd(t testing.TB, port int) {
	t.Helper()
	if !onHost() {
		return
	}
	need.Tool(t, "epmd")
	cmd := exec.Command("epmd", "-port", fmt.Sprint(port), "-address", "127.0.0.1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, "epmd to listen: otherwise erl starts another, which stays", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func onHost() bool { return emulator.OTP() == "" }

func (e *erlang) run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	output, err := os.Create(e.log)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.cmd = cmd
	go func() {
		defer close(e.exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		e.kill()
		if t.Failed() {
			t.Logf("the node printed:\n%s", e.output())
		}
	})
}

// kill ends the node at once.
func (e *erlang) kill() { emulator.End(e.cmd, e.exited) }

func (e *erlang) output() string {
	b, _ := os.ReadFile(e.log)
	return string(b)
}

// connect connects as soon as the node lets us, waits until it has booted, and closes the connection with the test. Until then
// its logger repeats what it has logged, for one.
func (e *erlang) connect(t testing.TB) *rpc.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		n, err := rpc.Connect(ctx, e.Target)
		if err == nil {
			t.Cleanup(n.Close)
			waitFor(t, "the end of its boot", func() bool {
				status, err := n.Call(ctx, "init", "get_status")
				if err != nil {
					t.Fatalf("%v\n%s", err, e.output())
				}
				return strings.HasPrefix(term.Format(status), "{started,")
			})
			return n
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%v\n%s", err, e.output())
		case <-e.exited:
			t.Fatalf("%s ended at boot:\n%s", e.Node, e.output())
		case <-retry.C:
		}
	}
}
