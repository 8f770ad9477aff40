package rpc_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/rpc"
)

const cookie = "oatmeal"

// erlang is a running node and what is needed to reach it.
type erlang struct {
	rpc.Target
	cmd    *exec.Cmd
	output *bytes.Buffer
	exited chan struct{}
}

// startErlang boots a node on a port of its own, in AGENT_TEST_OTP's image (27, 29) or with the host's erl.
func startErlang(t testing.TB, flags ...string) *erlang {
	t.Helper()
	port := freePort(t)
	e := &erlang{
		Target: rpc.Target{Node: fmt.Sprintf("x%d@127.0.0.1", port), Addr: fmt.Sprintf("127.0.0.1:%d", port), Cookie: cookie},
		output: &bytes.Buffer{},
		exited: make(chan struct{}),
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(cookie), 0o400); err != nil {
		t.Fatal(err)
	}
	e.cmd = erlCommand(t, home, append([]string{
		"-noinput", "-name", e.Node, "-start_epmd", "false", "-erl_epmd_port", fmt.Sprint(port),
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}",
	}, flags...))
	e.cmd.Stdout, e.cmd.Stderr = e.output, e.output
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.exited)
		_ = e.cmd.Wait()
	}()
	t.Cleanup(e.kill)
	return e
}

// erlCommand runs erl here, or in a container that shares our network and PID namespaces, with home as $HOME.
func erlCommand(t testing.TB, home string, args []string) *exec.Cmd {
	t.Helper()
	otp := os.Getenv("AGENT_TEST_OTP")
	if otp == "" || otp == "host" {
		needTool(t, "erl")
		cmd := exec.Command("erl", args...)
		cmd.Env = append(os.Environ(), "HOME="+home)
		return cmd
	}
	needTool(t, "docker")
	// --init, so that killing the client with TERM ends the node.
	docker := []string{"run", "--rm", "--init", "--network", "host", "--pid", "host", "-v", home + ":/home/node:ro",
		"-e", "HOME=/home/node", "erlang:" + otp, "erl"}
	return exec.Command("docker", append(docker, args...)...)
}

func needTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// kill ends the node at once. In a container that is up to its beam, found by the node's name.
func (e *erlang) kill() {
	if e.cmd.Args[0] == "docker" {
		_ = exec.Command("sh", "-c", "kill -9 "+strings.Join(e.beams(), " ")).Run()
	} else {
		_ = e.cmd.Process.Kill()
	}
	<-e.exited
}

// beams are the process ids of the node, read from the command lines in /proc.
func (e *erlang) beams() (pids []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		line, _ := os.ReadFile(f)
		if bytes.Contains(line, []byte("beam")) && bytes.Contains(line, []byte("\x00"+e.Node+"\x00")) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// connect connects as soon as the node listens, and closes the connection with the test.
func (e *erlang) connect(t testing.TB) *rpc.Node {
	t.Helper()
	n, err := e.dial(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, e.output)
	}
	t.Cleanup(n.Close)
	return n
}

func (e *erlang) dial(t testing.TB) (*rpc.Node, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	e.listens(ctx, t)
	return rpc.Connect(ctx, e.Target)
}

// listens waits until the node accepts connections.
func (e *erlang) listens(ctx context.Context, t testing.TB) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		if c, err := net.Dial("tcp", e.Addr); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not listen: %v", e.Node, ctx.Err())
		case <-e.exited:
			t.Fatalf("%s ended at boot:\n%s", e.Node, e.output)
		case <-retry.C:
		}
	}
}
