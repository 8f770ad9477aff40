// Package emulator boots an OTP, the machine's or that of an image, for tests of what the agent asks a node.
package emulator

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"theseus/rpc"
)

// Node is an emulator, and the connection to it that the agent would have.
type Node struct {
	*rpc.Node
	Name string
	PID  int
}

// Boot starts one with these flags, and returns when they are carried out, -eval among them. It ends with the test.
func Boot(t testing.TB, flags ...string) *Node {
	t.Helper()
	port, home := FreePort(t), t.TempDir()
	target := rpc.Target{Node: fmt.Sprintf("x%d@127.0.0.1", port), Addr: fmt.Sprintf("127.0.0.1:%d", port), Cookie: "oatmeal"}
	if err := os.WriteFile(filepath.Join(home, ".erlang.cookie"), []byte(target.Cookie), 0o400); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-noinput", "-name", target.Node, "-start_epmd", "false", "-erl_epmd_port", fmt.Sprint(port),
		"-kernel", "inet_dist_use_interface", "{127,0,0,1}",
	}
	args = append(append(args, flags...), "-eval", `io:format("up~n").`)
	start(t, Program{Name: "erl", Home: home, Args: args}.Command(t))
	node, err := rpc.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Close)
	n := &Node{Node: node, Name: target.Node}
	if n.PID, err = strconv.Atoi(n.Value(t, `list_to_integer(os:getpid()).`)); err != nil {
		t.Fatal(err)
	}
	return n
}

// start returns when the node says that it is up.
func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	t.Cleanup(func() { End(cmd, exited) })
	lines := bufio.NewReader(out)
	said, err := lines.ReadString('\n')
	go func() {
		defer close(exited)
		_, _ = io.Copy(io.Discard, lines) // until it ends
		_ = cmd.Wait()
	}()
	if said != "up\n" {
		t.Fatalf("the node does not come up: %q, %v", said, err)
	}
}

// FreePort is one of loopback that nobody has, and no other test of this machine is given before the end of this one.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if taken, err := net.Listen("unix", fmt.Sprintf("@theseus-test-port-%d", port)); err == nil { //nolint:noctx // an abstract name, gone with us
			t.Cleanup(func() { taken.Close() })
			return port
		}
	}
}

// Value evaluates expressions that must go well, and returns their value as JSON.
func (n *Node) Value(t testing.TB, source string) string {
	t.Helper()
	var text strings.Builder
	if err := n.Evaluate(t.Context(), source, &text); err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return text.String()
}
