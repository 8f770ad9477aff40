package control_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/agent/control"
	"theseus/agent/metrics"
)

// fake answers what a test set, and remembers what it was asked.
type fake struct {
	status  api.Status
	upgrade func(ctx context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error
	rpc     func(api.RPCRequest, control.Transcript) error
	eval    func(api.EvalRequest, control.Transcript) error
	stopped chan struct{}
}

func (f *fake) Status() api.Status      { return f.status }
func (f *fake) Releases() []api.Release { return []api.Release{{Name: "demo", Version: "1.0.0"}} }

func (f *fake) History(int) ([]api.Event, error)     { return []api.Event{{Kind: "boot.decided"}}, nil }
func (f *fake) Report(id string) (api.Report, error) { return api.Report{ID: id}, nil }
func (f *fake) Metrics() []metrics.Family            { return nil }
func (f *fake) Alive(context.Context) error          { return nil }
func (f *fake) Ready(ctx context.Context) error      { return f.Health(ctx) }
func (f *fake) Version() api.Version                 { return api.Version{Version: "test"} }
func (f *fake) Health(context.Context) error {
	if f.status.Node.State != api.NodeRunning {
		return &api.Error{Code: api.CodeNodeDown, Message: "the node is " + f.status.Node.State}
	}
	return nil
}

func (f *fake) Drift(context.Context) (api.Drift, error) {
	return api.Drift{Name: "demo", Version: "1.0.0", Differences: []api.Difference{{Kind: "module-differs", Subject: "demo"}}, Drifted: true}, nil
}
func (f *fake) Stop() { close(f.stopped) }

func (f *fake) Gates(context.Context) (api.Gates, error) {
	return api.Gates{Gates: []api.Gate{{Name: "ready", Kind: "http", When: []string{"after"}, OK: true}}}, nil
}

func (f *fake) Remove(_ context.Context, version string) (api.Removed, error) {
	return api.Removed{Name: "demo", Version: version, Bytes: 7}, nil
}

func (f *fake) RPC(_ context.Context, req api.RPCRequest, to control.Transcript) error {
	return f.rpc(req, to)
}

func (f *fake) Eval(_ context.Context, req api.EvalRequest, to control.Transcript) error {
	return f.eval(req, to)
}

func (f *fake) Remote(context.Context) (api.Remote, error) {
	return api.Remote{Node: "demo@127.0.0.1"}, nil
}

func (f *fake) Upgrade(ctx context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	return f.upgrade(ctx, req, pkg, on)
}

func (f *fake) Unpack(ctx context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	return f.upgrade(ctx, req, pkg, on)
}

func (f *fake) Install(_ context.Context, req api.InstallRequest, on func(api.Event)) error {
	on(api.Event{Kind: "install.probation", Result: &api.Result{Outcome: api.Probation, To: req.Version}})
	return nil
}

func (f *fake) Commit(_ context.Context, req api.CommitRequest, on func(api.Event)) error {
	if req.Version == "0.9.0" {
		return &api.Error{Code: api.CodeNotOnProbation, Message: "cannot commit 0.9.0"}
	}
	on(api.Event{Kind: "upgrade.committed", Result: &api.Result{Outcome: api.Committed, To: req.Version}})
	return nil
}

func (f *fake) Rollback(_ context.Context, req api.RollbackRequest, on func(api.Event)) error {
	on(api.Event{Kind: "rollback.committed", Result: &api.Result{Outcome: api.Committed, To: req.Version}})
	return nil
}

// serve runs the server until the test ends, and returns its socket.
func serve(t *testing.T, policy control.Policy, f *fake) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- control.Serve(ctx, l, policy, f, slog.New(slog.NewTextHandler(serverLog{t}, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return path
}

// serverLog fails the test where a connection ends in a panic of the server's own.
type serverLog struct{ *testing.T }

func (l serverLog) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic serving")) {
		l.Errorf("the server says %s", line)
	}
	return l.Output().Write(line)
}

func own() control.Policy { return control.Policy{Own: uint32(os.Getuid())} }

func TestClientReadsWhatTheAgentSays(t *testing.T) {
	f := &fake{status: api.Status{Release: api.Release{Name: "demo", Version: "1.0.0"}, Node: api.Node{State: api.NodeRunning}}}
	c := api.NewClient(serve(t, own(), f))
	status, err := c.Status(t.Context())
	if diff := cmp.Diff(f.status, status); diff != "" || err != nil {
		t.Errorf("err %v (-want +got):\n%s", err, diff)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("a running node is unhealthy: %v", err)
	}
	if drift, err := c.Drift(t.Context()); !drift.Drifted || len(drift.Differences) != 1 || drift.Differences[0].String() != "module-differs demo" || err != nil {
		t.Errorf("the drift is %v, %v", drift, err)
	}
}

func TestHealthFailsWhileTheNodeBoots(t *testing.T) {
	c := api.NewClient(serve(t, own(), &fake{status: api.Status{Node: api.Node{State: api.NodeBooting}}}))
	var e *api.Error
	if err := c.Health(t.Context()); !errors.As(err, &e) || e.Code != api.CodeNodeDown {
		t.Errorf("got %v", err)
	}
}

func TestUpgradeStreamsEventsWhileThePackageComesIn(t *testing.T) {
	pkg := bytes.Repeat([]byte("x"), 3<<20)
	f := &fake{upgrade: func(_ context.Context, req api.UpgradeRequest, body io.Reader, on func(api.Event)) error {
		first := make([]byte, 1)
		if _, err := io.ReadFull(body, first); err != nil {
			return err
		}
		on(api.Event{Kind: api.KindProgress})
		rest, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(append(first, rest...), pkg) {
			return errors.New("the package arrived changed")
		}
		on(api.Event{Kind: "package.received", Message: req.Name})
		on(api.Event{Kind: "upgrade.committed", Result: &api.Result{Outcome: api.Committed, To: "1.1.0"}})
		return nil
	}}
	var kinds []string
	c := api.NewClient(serve(t, own(), f))
	result, err := c.Upgrade(t.Context(), api.UpgradeRequest{Name: "demo-1.1.0.tar.gz", Size: int64(len(pkg))}, bytes.NewReader(pkg),
		func(e api.Event) { kinds = append(kinds, e.Kind) })
	if err != nil || result.Outcome != api.Committed || result.To != "1.1.0" {
		t.Errorf("got %+v, %v", result, err)
	}
	if diff := cmp.Diff([]string{"progress", "package.received"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// neverRead fails the test when the package is sent.
type neverRead struct{ t *testing.T }

func (r neverRead) Read([]byte) (int, error) {
	r.t.Error("the package was sent to a busy agent")
	return 0, io.EOF
}

func TestBusyIsToldBeforeThePackageIsSent(t *testing.T) {
	busy := &api.Error{Code: api.CodeBusy, Message: "cannot begin", Hint: "wait", State: "1 is installing"}
	f := &fake{upgrade: func(context.Context, api.UpgradeRequest, io.Reader, func(api.Event)) error { return busy }}
	_, err := api.NewClient(serve(t, own(), f)).Upgrade(t.Context(), api.UpgradeRequest{}, neverRead{t}, nil)
	var e *api.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(busy, e); diff != "" {
		t.Errorf("the error arrived changed (-want +got):\n%s", diff)
	}
}

func TestAnUpgradeOutlivesItsCaller(t *testing.T) {
	received, gone, finished := make(chan struct{}), make(chan struct{}), make(chan struct{})
	f := &fake{upgrade: func(caller context.Context, _ api.UpgradeRequest, body io.Reader, on func(api.Event)) error {
		defer close(finished)
		io.Copy(io.Discard, body)
		close(received)
		<-caller.Done()
		close(gone)
		on(api.Event{Kind: "upgrade.committed", Result: &api.Result{}})
		return nil
	}}
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-received
		hangUp()
	}()
	_, err := api.NewClient(serve(t, own(), f)).Upgrade(ctx, api.UpgradeRequest{}, strings.NewReader("package"), func(api.Event) {})
	if err == nil {
		t.Error("the caller hung up and got a result")
	}
	<-gone
	<-finished
}

func TestErrorsArriveWithCodeHintAndState(t *testing.T) {
	want := &api.Error{Code: api.CodeBadRPC, Message: "cannot call m:f", Hint: "try g", State: "the node runs"}
	f := &fake{rpc: func(api.RPCRequest, control.Transcript) error { return want }}
	err := api.NewClient(serve(t, own(), f)).RPC(t.Context(), api.RPCRequest{Module: "m", Function: "f"}, io.Discard)
	var got *api.Error
	if !errors.As(err, &got) || !cmp.Equal(want, got) {
		t.Errorf("got %+v", err)
	}
}

func TestAPanicIsAnAnswerNotAnEnd(t *testing.T) {
	var nothing *api.Error
	f := &fake{rpc: func(api.RPCRequest, control.Transcript) error { return errors.New(nothing.Code) }}
	c := api.NewClient(serve(t, own(), f))
	if err := c.RPC(t.Context(), api.RPCRequest{}, io.Discard); err == nil {
		t.Error("the panic was answered with a result")
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("after a panic the server does not answer: %v", err)
	}
}

func TestBadRequestsAreNamed(t *testing.T) {
	socket := serve(t, own(), &fake{})
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/v1/nothing", "", api.CodeNotFound},
		{"GET", "/v1/stop", "", api.CodeNotFound},
		{"GET", "/v1/history?limit=all", "", api.CodeBadRequest},
		{"POST", "/v1/upgrade?settle=soon", "", api.CodeBadRequest},
		{"POST", "/v1/upgrade?name=a%0Aagent:", "", api.CodeBadRequest},
		{"POST", "/v1/upgrade?name=%1b%5b2J", "", api.CodeBadRequest},
		{"POST", "/v1/upgrade?name=%ff", "", api.CodeBadRequest},
		{"POST", "/v1/upgrade?allow_downgrade=perhaps", "", api.CodeBadRequest},
		{"POST", "/v1/rollback", `{"release":"1.0.0"}`, api.CodeBadRequest},
		{"POST", "/v1/rpc", strings.Repeat("x", 2<<20), api.CodeBadRequest},
	} {
		if got := raw(t, socket, c.method, c.path, c.body); !strings.Contains(got, `"code":"`+c.want+`"`) {
			t.Errorf("%s %s: got %s", c.method, c.path, got)
		}
	}
}

// raw is a client that is not ours.
func raw(t *testing.T, socket, method, path, body string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStopIsPassedOn(t *testing.T) {
	f := &fake{stopped: make(chan struct{})}
	if err := api.NewClient(serve(t, own(), f)).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-f.stopped
}

// openTo lets every user reach the directory of a test.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSocketOfALivingAgentIsNotTaken(t *testing.T) {
	socket := serve(t, own(), &fake{})
	if _, err := control.Listen(t.Context(), socket); err == nil || !strings.Contains(err.Error(), "another agent answers") {
		t.Errorf("got %v", err)
	}
}

func TestTheSocketOfADeadAgentIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	dead, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestASocketThatIsTakenAwayIsMadeAnew(t *testing.T) {
	socket := serve(t, own(), &fake{status: api.Status{Release: api.Release{Name: "demo"}}})
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range again.C {
		status, err := api.NewClient(socket).Status(t.Context())
		if err == nil && status.Release.Name == "demo" {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestAnOpenStreamDoesNotHoldUpTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := control.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	f := &fake{upgrade: func(_ context.Context, _ api.UpgradeRequest, _ io.Reader, on func(api.Event)) error {
		on(api.Event{Kind: "package.received"})
		close(begun)
		<-release
		return nil
	}}
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- control.Serve(ctx, l, own(), f, slog.New(slog.DiscardHandler)) }()
	go api.NewClient(path).Upgrade(t.Context(), api.UpgradeRequest{}, strings.NewReader(""), func(api.Event) {})
	<-begun
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the server did not end")
	}
}

func TestTheRequestArrivesAsItWasMade(t *testing.T) {
	settle := 3 * time.Second
	want := api.UpgradeRequest{
		Name: "demo 1.1.0.tar.gz", Size: 7, SHA256: "abc", Settle: &settle, AllowDowngrade: true,
		Hold:      api.Hold{NoCommit: true, CommitWithin: time.Minute},
		Signature: "untrusted comment: x\nRWR…\ntrusted comment: y\nU5P…\n",
	}
	var got api.UpgradeRequest
	f := &fake{upgrade: func(_ context.Context, req api.UpgradeRequest, _ io.Reader, on func(api.Event)) error {
		got = req
		on(api.Event{Result: &api.Result{Outcome: api.Committed}})
		return nil
	}}
	if _, err := api.NewClient(serve(t, own(), f)).Upgrade(t.Context(), want, strings.NewReader("package"), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-sent +received):\n%s", diff)
	}
}

func TestAReleaseOnTheVolumeIsInstalledAndCommitted(t *testing.T) {
	c := api.NewClient(serve(t, own(), &fake{}))
	none := func(api.Event) {}
	installed, err := c.Install(t.Context(), api.InstallRequest{Version: "1.1.0", Hold: api.Hold{NoCommit: true, CommitWithin: time.Minute}}, none)
	if err != nil || installed.Outcome != api.Probation || installed.To != "1.1.0" {
		t.Errorf("%+v, %v", installed, err)
	}
	committed, err := c.Commit(t.Context(), api.CommitRequest{Version: "1.1.0"}, none)
	if err != nil || committed.Outcome != api.Committed || committed.To != "1.1.0" {
		t.Errorf("%+v, %v", committed, err)
	}
	_, err = c.Commit(t.Context(), api.CommitRequest{Version: "0.9.0"}, none)
	if e := new(api.Error); !errors.As(err, &e) || e.Code != api.CodeNotOnProbation {
		t.Error(err)
	}
}

// Who was told how an upgrade has ended can begin another one at once.
func TestAnUpgradeThatWasToldOfIsOver(t *testing.T) {
	var over atomic.Bool
	returned := make(chan struct{})
	f := &fake{upgrade: func(_ context.Context, _ api.UpgradeRequest, _ io.Reader, on func(api.Event)) error {
		on(api.Event{Result: &api.Result{Outcome: api.Committed}})
		select {
		case <-returned:
		case <-time.After(100 * time.Millisecond):
		}
		over.Store(true)
		return nil
	}}
	_, err := api.NewClient(serve(t, own(), f)).Upgrade(t.Context(), api.UpgradeRequest{}, strings.NewReader("package"), nil)
	if err != nil || !over.Load() {
		t.Errorf("it is over: %v; %v", over.Load(), err)
	}
	close(returned)
}

func TestAReleaseIsRemovedByItsVersion(t *testing.T) {
	for _, version := range []string{"1.0.0", "1.0.0-rc.1+build.7", "a version/with a slash?"} {
		removed, err := api.NewClient(serve(t, own(), &fake{})).Remove(t.Context(), version)
		if want := (api.Removed{Name: "demo", Version: version, Bytes: 7}); removed != want || err != nil {
			t.Errorf("got %+v, %v", removed, err)
		}
	}
}

// TestAPackageComesThoughSomethingIsToldBefore: an answer before its first byte was asked for has the client keep it.
func TestAPackageComesThoughSomethingIsToldBefore(t *testing.T) {
	f := &fake{upgrade: func(_ context.Context, _ api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
		on(api.Event{Kind: "upgrade.warned"})
		content, err := io.ReadAll(pkg)
		if err != nil || string(content) != "package" {
			t.Errorf("there came %q, %v", content, err)
		}
		on(api.Event{Kind: "upgrade.committed", Result: &api.Result{Outcome: api.Committed}})
		return nil
	}}
	var told []string
	r, err := api.NewClient(serve(t, own(), f)).Upgrade(t.Context(), api.UpgradeRequest{}, strings.NewReader("package"), func(e api.Event) { told = append(told, e.Kind) })
	if err != nil || r.Outcome != api.Committed || !slices.Equal(told, []string{"upgrade.warned"}) {
		t.Errorf("told of %v and %+v, %v", told, r, err)
	}
}

// TestWhatIsToldOfAPackageThatNobodyReadsComesToo.
func TestWhatIsToldOfAPackageThatNobodyReadsComesToo(t *testing.T) {
	f := &fake{upgrade: func(_ context.Context, _ api.UpgradeRequest, _ io.Reader, on func(api.Event)) error {
		on(api.Event{Kind: "upgrade.refused", Result: &api.Result{Outcome: api.Refused}})
		return nil
	}}
	r, err := api.NewClient(serve(t, own(), f)).Upgrade(t.Context(), api.UpgradeRequest{}, strings.NewReader("package"), nil)
	if err != nil || r.Outcome != api.Refused {
		t.Errorf("told of %+v, %v", r, err)
	}
}
