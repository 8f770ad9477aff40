package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/agent/control"
	"theseus/integration/need"
)

// TestMain lets another process be the client, or the server, of a test: of another user, or in other namespaces.
func TestMain(m *testing.M) {
	for name, do := range map[string]func(socket string) error{"ASK": askAll, "HOLD": holdOn, "SERVE": serveAlone} {
		if socket := os.Getenv("CONTROL_TEST_" + name); socket != "" {
			if err := do(socket); err != nil {
				fmt.Println(err)
			}
			return
		}
	}
	m.Run()
}

// askAll makes each request that there is, and prints the statuses.
func askAll(socket string) error {
	statuses := map[string]int{}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for _, pattern := range control.Patterns() {
		method, path, named := strings.Cut(pattern, " ")
		if !named {
			method, path = "GET", pattern
		}
		req, err := http.NewRequest(method, "http://agent"+strings.NewReplacer("{version}", "1.0.0", "{id}", api.LastReport).Replace(path), strings.NewReader("{}")) //nolint:noctx // a process of its own
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		statuses[pattern] = resp.StatusCode
	}
	return json.NewEncoder(os.Stdout).Encode(statuses)
}

// serveAlone answers until its standard input ends, and says when it does.
func serveAlone(socket string) error {
	l, err := control.Listen(context.Background(), socket)
	if err != nil {
		return err
	}
	go control.Serve(context.Background(), l, own(), ready(), slog.New(slog.DiscardHandler))
	fmt.Println("it listens")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// mostHeld are the connections that the server keeps of strangers.
const mostHeld = 16

// holdOn connects as often as a stranger can, counts where it is not hung up on, and keeps those until its standard input ends. It
// returns when the server has noticed that they are gone.
func holdOn(socket string) error {
	const all = 100
	hungUp := make(chan struct{}, all)
	var conns []net.Conn
	for range all {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		defer c.Close()
		conns = append(conns, c)
		go func() {
			_, _ = c.Read(make([]byte, 1))
			hungUp <- struct{}{}
		}()
	}
	for range all - mostHeld {
		<-hungUp
	}
	held := mostHeld
	for more := time.After(time.Second); more != nil; { // the server waits longer for a header
		select {
		case <-hungUp:
			held--
		case <-more:
			more = nil
		}
	}
	fmt.Println(held)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	for _, c := range conns {
		c.Close()
	}
	for askAgain(socket) != nil {
		<-time.After(10 * time.Millisecond)
	}
	return nil
}

// askAgain is nil when a stranger is answered.
func askAgain(socket string) error {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// ready answers everything.
func ready() *fake {
	return &fake{
		status: api.Status{Node: api.Node{State: api.NodeRunning}}, stopped: make(chan struct{}),
		rpc:  func(api.RPCRequest, control.Transcript) error { return nil },
		eval: func(api.EvalRequest, control.Transcript) error { return nil },
		upgrade: func(_ context.Context, _ api.UpgradeRequest, _ io.Reader, on func(api.Event)) error {
			on(api.Event{Kind: "upgrade.committed", Result: &api.Result{Outcome: api.Committed}})
			return nil
		},
	}
}

// peer is who asks.
type peer struct {
	about string
	uid   uint32
	as    syscall.SysProcAttr
	let   bool // in
}

const agentUID, friendUID, strangerUID = 61000, 61001, 61002

var peers = []peer{
	{"the agent's own user", agentUID, syscall.SysProcAttr{}, true},
	{"root", 0, syscall.SysProcAttr{}, true},
	{"a configured user", friendUID, syscall.SysProcAttr{}, true},
	{"another user", strangerUID, syscall.SysProcAttr{}, false},
	{"another user, who is root in a user namespace of its own", 0, mapped(strangerUID), false},
	{"another user, who is the agent's in a user namespace of its own", agentUID, mapped(strangerUID), false},
	{"another user in a PID namespace below", strangerUID, syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, false},
	{"the agent's own user in a PID namespace below", agentUID, syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}, true},
}

// mapped is a user namespace in which a user of this one is whoever is asked for.
func mapped(uid int) syscall.SysProcAttr {
	return syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{HostID: uid, Size: 1}}}
}

func TestEveryRequestOfEveryPeerIsLetInOrNot(t *testing.T) {
	need.Root(t, "to be another user")
	for _, p := range peers {
		t.Run(p.about, func(t *testing.T) {
			socket := serve(t, control.Policy{Own: agentUID, UID: []uint32{friendUID}}, ready())
			openTo(t, filepath.Dir(socket))
			areLet(t, askAs(t, p, socket), p.let)
		})
	}
}

// TestAPeerOfAnotherContainerIsRefused: the server is in a PID namespace in which the client, of the same user and even root,
// is not to be seen.
func TestAPeerOfAnotherContainerIsRefused(t *testing.T) {
	need.Root(t, "to be another user")
	socket := filepath.Join(t.TempDir(), "agent.sock")
	server := exec.CommandContext(t.Context(), "/proc/self/exe")
	server.Env = append(os.Environ(), "CONTROL_TEST_SERVE="+socket)
	server.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer stdin.Close()
	if _, err := stdout.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	areLet(t, askAs(t, peer{uid: 0}, socket), false)
}

func TestStrangersCannotHoldEveryDescriptor(t *testing.T) {
	need.Root(t, "to be another user")
	t.Parallel()
	socket := serve(t, control.Policy{Own: agentUID}, ready())
	openTo(t, filepath.Dir(socket))
	crowd := exec.CommandContext(t.Context(), "/proc/self/exe")
	crowd.Env = append(os.Environ(), "CONTROL_TEST_HOLD="+socket)
	crowd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: strangerUID, Gid: strangerUID}}
	stdin, err := crowd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := crowd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	var held int
	if _, err := fmt.Fscan(stdout, &held); err != nil || held != mostHeld {
		t.Errorf("%d connections of a stranger are held: %v", held, err)
	}
	areLet(t, askAs(t, peer{uid: agentUID}, socket), true)
	stdin.Close()
	if err := crowd.Wait(); err != nil {
		t.Error(err)
	}
	areLet(t, askAs(t, peer{uid: strangerUID}, socket), false) // who hears why again
}

// askAs makes each request as a peer.
func askAs(t *testing.T, p peer, socket string) map[string]int {
	t.Helper()
	as := p.as
	as.Credential = &syscall.Credential{Uid: p.uid, Gid: p.uid, NoSetGroups: true}
	if as.UidMappings != nil {
		as.UidMappings[0].ContainerID = int(p.uid)
		as.Credential.Gid = 0
		as.GidMappings = []syscall.SysProcIDMap{{HostID: strangerUID, Size: 1}}
	}
	client := exec.CommandContext(t.Context(), "/proc/self/exe")
	client.Env, client.SysProcAttr = append(os.Environ(), "CONTROL_TEST_ASK="+socket), &as
	var stderr bytes.Buffer
	client.Stderr = &stderr
	out, err := client.Output()
	var statuses map[string]int
	if err == nil {
		err = json.Unmarshal(out, &statuses)
	}
	if err != nil {
		t.Fatalf("cannot ask as uid %s: %v\n%s%s", strconv.Itoa(int(p.uid)), err, out, stderr.String())
	}
	return statuses
}

// areLet compares what became of all requests. One that is let in is answered, or not found.
func areLet(t *testing.T, statuses map[string]int, let bool) {
	t.Helper()
	for _, pattern := range control.Patterns() {
		want := http.StatusForbidden
		switch {
		case let && pattern == "/":
			want = http.StatusNotFound
		case let:
			want = http.StatusOK
		}
		if got := statuses[pattern]; got != want {
			t.Errorf("%s: got %d, want %d", pattern, got, want)
		}
	}
}
