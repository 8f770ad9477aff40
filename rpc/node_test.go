package rpc_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"theseus/rpc"
	"theseus/rpc/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheNodeSeesUsAsHiddenOnly(t *testing.T) {
	n := startErlang(t).connect(t)
	if visible := call(t, n, "erlang", "nodes"); len(visible.(term.List)) != 0 {
		t.Errorf("nodes() = %s", term.Format(visible))
	}
	hidden := call(t, n, "erlang", "nodes", term.Atom("hidden")).(term.List)
	if len(hidden) != 1 || !strings.HasPrefix(term.Format(hidden[0]), "'theseus-") {
		t.Errorf("nodes(hidden) = %s", term.Format(hidden))
	}
}

func TestAShortNamedNodeIsReachedToo(t *testing.T) {
	start(t, boot{program: "erl", name: "-sname", host: "localhost", dir: t.TempDir()}).connect(t)
}

func TestAWrongCookieIsNamed(t *testing.T) {
	e := startErlang(t)
	e.connect(t)
	target := e.Target
	target.Cookie = "wrong"
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrCookie) {
		t.Errorf("got %v", err)
	}
}

func TestAnAddressWhereNothingListensIsRefused(t *testing.T) {
	target := rpc.Target{Node: "x@127.0.0.1", Addr: "127.0.0.1:1", Cookie: cookie}
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestAnotherNodeAtTheAddressIsNotTakenForTheRightOne(t *testing.T) {
	e := startErlang(t)
	e.connect(t)
	target := e.Target
	target.Node = "other@127.0.0.1"
	if _, err := rpc.Connect(t.Context(), target); !errors.Is(err, rpc.ErrHandshake) {
		t.Errorf("got %v", err)
	}
}

func TestANodeKilledDuringACallLeavesItsOutcomeUnknown(t *testing.T) {
	e := startErlang(t)
	n := e.connect(t)
	failed := make(chan error)
	go func() {
		_, err := n.Call(t.Context(), "timer", "sleep", int64(60_000))
		failed <- err
	}()
	waitFor(t, "the call to run", func() bool { return sleeping(t, n) })
	e.kill()
	if err := <-failed; !errors.Is(err, rpc.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	<-n.Done()
	if _, err := n.Call(t.Context(), "erlang", "node"); !errors.Is(err, rpc.ErrNotSent) {
		t.Errorf("a call after the end: %v", err)
	}
}

// asleep are the processes of the node that are in timer:sleep/1.
const asleep = "[P || P <- processes(), process_info(P, current_function) =:= {current_function, {timer, sleep, 1}}]"

// sleeping says whether there are any.
func sleeping(t *testing.T, n *rpc.Node) bool {
	found, err := eval(t, n, asleep)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := found.(term.List)
	return ok && len(l) > 0
}

// wake ends those who are asleep, and with them the calls.
func wake(t *testing.T, n *rpc.Node) {
	t.Helper()
	if _, err := eval(t, n, "[exit(P, kill) || P <- "+asleep+"]"); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a fact, or an answer, may take on a loaded machine.
const patience = 3 * time.Minute

func waitFor(t testing.TB, what string, fact func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !fact() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-again.C:
		}
	}
}

func TestStopEndsTheNode(t *testing.T) {
	e := startErlang(t)
	n := e.connect(t)
	if err := n.Stop(t.Context()); err != nil && !errors.Is(err, rpc.ErrUnknownOutcome) { // it may end before it answers
		t.Fatal(err)
	}
	<-n.Done()
	<-e.exited
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the node exited with %d", code)
	}
}

func TestARestartInsideTheProcessIsAnotherIncarnation(t *testing.T) {
	e := startErlang(t)
	before := e.connect(t)
	process := func(n *rpc.Node) string { return term.Format(call(t, n, "os", "getpid")) }
	creation := func(n *rpc.Node) string {
		return term.Format(call(t, n, "erlang", "system_info", term.Atom("creation")))
	}
	pid, first := process(before), creation(before)
	if _, err := before.Call(t.Context(), "init", "restart"); err != nil && !errors.Is(err, rpc.ErrUnknownOutcome) { // likewise
		t.Fatal(err)
	}
	<-before.Done()
	after := e.connect(t)
	if again := process(after); again != pid {
		t.Errorf("process %s became %s", pid, again)
	}
	if again := creation(after); again == first {
		t.Errorf("both incarnations are %s", first)
	}
}

func TestCloseEndsCallsInFlight(t *testing.T) {
	n := startErlang(t).connect(t)
	failed := make(chan error)
	go func() {
		_, err := n.Call(t.Context(), "timer", "sleep", int64(60_000))
		failed <- err
	}()
	waitFor(t, "the call to run", func() bool { return sleeping(t, n) })
	n.Close()
	n.Close()
	if err := <-failed; !errors.Is(err, rpc.ErrUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	if n.Connected() {
		t.Error("still connected")
	}
}

// ergo can tell its makers about its users, and wants a listener. We want no socket off loopback, and no
// code that could make one.
func TestNothingCallsHome(t *testing.T) {
	n := startErlang(t).connect(t)
	call(t, n, "erlang", "node")
	out, err := exec.Command("go", "list", "-deps", "theseus/rpc").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"apps/system", "apps/cloud", "apps/erlang", "proto/dist"} {
		if strings.Contains(string(out), "ergo-services/ergo/"+pkg) {
			t.Errorf("ergo's %s is linked", pkg)
		}
	}
	for _, s := range openSockets(t) {
		if !strings.HasPrefix(s, "0100007F:") {
			t.Errorf("a socket at %s", s)
		}
	}
}

// openSockets are the local addresses, in the kernel's hexadecimal, of our TCP and UDP sockets.
func openSockets(t *testing.T) (addrs []string) {
	t.Helper()
	var inodes []string
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes = append(inodes, strings.Trim(to, "socket:[]"))
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		b, _ := os.ReadFile("/proc/net/" + table)
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 9 && slices.Contains(inodes, f[9]) {
				addrs = append(addrs, f[1])
			}
		}
	}
	if len(addrs) == 0 {
		t.Fatal("no sockets seen")
	}
	return addrs
}

func TestConnectTakesNoLongerThanItsContext(t *testing.T) {
	silent := listen(t, func(net.Conn) {})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	_, err := rpc.Connect(ctx, silent)
	if took := time.Since(begun); err == nil || took > 6*time.Second { // without it, 7 s
		t.Errorf("got %v after %s", err, took)
	}
}

// An idle connection stands as long as both sides tick; the node drops one after its net_ticktime.
func TestAnIdleConnectionStands(t *testing.T) {
	e := startErlang(t, "-kernel", "net_ticktime", "16")
	n := e.connect(t)
	idle := 24 * time.Second
	if os.Getenv("AGENT_TEST_LONG") != "" {
		e = startErlang(t)
		n, idle = e.connect(t), 70*time.Second
	}
	select {
	case <-n.Done():
		t.Error("the node dropped the connection")
	case <-time.After(idle):
		call(t, n, "erlang", "node")
	}
}
