package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/gate"
	"theseus/agent/relup"
	"theseus/agent/trust"
	"theseus/rpc"
	"theseus/volume"
)

// Handler is release_handler of one incarnation of the node, and what can be observed of it. *rpc.Node is one.
type Handler interface {
	WhichReleases(ctx context.Context) ([]rpc.Release, error)
	ReadReleases(ctx context.Context) error
	SetUnpacked(ctx context.Context, relFile string) error
	SetRemoved(ctx context.Context, version string) error
	CheckInstallRelease(ctx context.Context, version string, purge bool) (rpc.Installed, error)
	InstallRelease(ctx context.Context, version string, opts rpc.InstallOptions) (rpc.Installed, error)
	MakePermanent(ctx context.Context, version string) error

	InitStatus(ctx context.Context) (internal, provided string, err error)
	Applications(ctx context.Context) ([]rpc.App, error)
	Evaluate(ctx context.Context, expressions string, out io.Writer) error
	Busy(ctx context.Context, modules []string, timeout time.Duration) ([]rpc.Process, error)
	UseConsolidated(ctx context.Context, dir string, modules []string) error

	gate.Node // what gates ask
}

// Incarnation is one life of the node: from a launch to the end of its process.
type Incarnation interface {
	Handler(ctx context.Context) (Handler, error) // connects anew where the connection was lost
	Ended() <-chan struct{}                       // closed when the process has ended
}

// Keeper launches the node and decides what follows when it ends.
type Keeper interface {
	// Running returns the incarnation that is up, and the version that it was booted or upgraded to.
	Running() (Incarnation, string, error)
	// InUse is the version of the incarnation that is there, up or not, or was there last.
	InUse() string
	// Upgraded tells which version an incarnation runs now.
	Upgraded(node Incarnation, version string)
	// Protect makes the end of the node mean that version is booted next, instead of the agent's end.
	// An empty version lifts that.
	Protect(version string)
	// Expect makes the end of the node mean that version is booted, once, if release_handler has asked for that: the
	// upgrade under way restarts the emulator. Any other end means what it did. Protect lifts it.
	Expect(version string)
	// Rest says that nothing is done to the node until the next Protect: what Protect said of its end holds, and it is to
	// be watched as any other.
	Rest()
	// Restart ends the node, orderly if it can, boots version and returns when that is up.
	Restart(ctx context.Context, version string) error
	// Await returns when an incarnation other than old is up.
	Await(ctx context.Context, old Incarnation) error
}

// Engine carries out upgrades and rollbacks, one at a time.
type Engine struct {
	Volume *volume.Volume
	Keeper Keeper
	Image  volume.Image
	Settle time.Duration   // how long an installed release is watched before it is made permanent
	Within time.Duration   // how long one that a person is to commit waits for that, unless the request says otherwise
	Boot   time.Duration   // how long a release may take to boot
	Stop   time.Duration   // how long a node may take to stop
	Record func(api.Event) // log and history
	Trust  trust.Policy    // whose packages may be installed
	Keep   volume.Keep     // of older releases, once a new one is permanent
	// Configure resolves what the configuration of a release on the volume leaves open, before it is installed; may be nil.
	Configure func(ctx context.Context, version string) error
	// Starts are what the node that runs was started with, and what a release on the volume would be; may be nil.
	Starts func(version string) (running, next Start, err error)

	// Derive makes the relup that a package lacks; may be nil.
	Derive func(ctx context.Context, from volume.Release, to *volume.Staged) (relup.Made, error)

	// Over is told that an attempt is no longer under way, some time after the event that says how it ended; may be nil, and must not wait.
	Over func()

	// Gates reads what is asked before a release is made permanent; may be nil.
	Gates func() (gate.Set, error)

	AlwaysDerive    bool // also where the request does not ask for it
	RefuseDowngrade bool // to an older version, unless the request allows it
	TolerateDrift   bool // of what an upgrade should have changed: it is told, and not taken back

	// Counting is held by whoever has the node count what it logs, which it does for one at a time.
	Counting sync.Mutex

	mu      sync.Mutex
	closed  bool
	current *attempt
	idle    sync.WaitGroup

	littered bool // an attempt could not take everything back; only the attempt under way touches this
}

// ErrBusy says that another upgrade or rollback is under way.
var ErrBusy = errors.New("another upgrade is under way")

// Upgrade brings the node to the release in the package, and reports each step to on as well. Once the
// package is received, the end of the caller does not end the upgrade: only the end of run does.
func (e *Engine) Upgrade(run, caller context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	a, err := e.begin("upgrade", on)
	if err != nil {
		return err
	}
	a.mayRestart = req.Restart
	a.wants(req.Settle, req.Hold)
	a.mayDerive = a.Derive != nil && (req.Derived || e.AlwaysDerive)
	a.mayGoDown = req.AllowDowngrade || !e.RefuseDowngrade
	a.carryOut(run, append([]step{
		{Received, func(context.Context) error { return a.receive(caller, req, pkg) }},
		{Verified, a.verify},
		{Planned, a.plan},
		{Unpacked, a.publish},
	}, a.installation()...))
	return nil
}

// Unpack brings the release in the package to the volume, for later. It needs no node.
func (e *Engine) Unpack(run, caller context.Context, req api.UpgradeRequest, pkg io.Reader, on func(api.Event)) error {
	a, err := e.begin(kindUnpack, on)
	if err != nil {
		return err
	}
	a.mayGoDown = req.AllowDowngrade || !e.RefuseDowngrade
	a.carryOut(run, []step{
		{Received, func(context.Context) error { return a.receive(caller, req, pkg) }},
		{Verified, a.verify},
		{Unpacked, a.unpack},
	})
	return nil
}

// Install brings the node to a release that is on the volume already.
func (e *Engine) Install(run context.Context, req api.InstallRequest, on func(api.Event)) error {
	if req.Version == "" {
		return refuse(api.CodeBadRequest, "cannot install: no version is named")
	}
	a, err := e.begin("install", on)
	if err != nil {
		return err
	}
	a.mayRestart = req.Restart
	a.wants(req.Settle, req.Hold)
	a.goThere(run, func(ctx context.Context) error { return a.planThere(ctx, req.Version) })
	return nil
}

// Rollback brings the node back to a release that it ran before. What waits to be committed is taken back.
func (e *Engine) Rollback(run context.Context, req api.RollbackRequest, on func(api.Event)) error {
	if taken, err := e.recall(req, on); taken || err != nil {
		return err
	}
	a, err := e.begin(volume.KindRollback, on)
	if err != nil {
		return err
	}
	a.mayRestart = req.Restart
	a.goThere(run, func(ctx context.Context) error { return a.planRollback(ctx, req) })
	return nil
}

// goThere carries out an attempt without a package.
func (a *attempt) goThere(run context.Context, plan func(context.Context) error) {
	a.carryOut(run, append([]step{{Planned, plan}, {Unpacked, a.adopt}}, a.installation()...))
}

// installation is how every attempt ends that is more than an unpacking.
func (a *attempt) installation() []step {
	return []step{
		{Checked, a.check},
		{Installing, a.enter},
		{Probation, a.install},
		{Committed, a.observeAndCommit},
	}
}

// carryOut takes the steps, and returns when the caller has been told the result: the attempt is over then, or waits to be
// committed. So it is no longer the caller's.
func (a *attempt) carryOut(run context.Context, steps []step) {
	go func() {
		defer a.end(a)
		defer func() { _ = recover() }() // whatever not even giveUp could tell: nothing may end PID 1
		defer a.forgetVitals()
		a.walk(run, steps)
	}()
	select {
	case <-a.rests:
	case <-a.over:
	}
}

// Current describes the attempt under way, or is nil. One that has told how it ended is not under way.
func (e *Engine) Current() *api.Upgrade {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil || e.current.ended {
		return nil
	}
	return e.current.describe()
}

// Close begins no further attempt, and returns when none is under way.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.idle.Wait()
}

func (e *Engine) begin(kind string, on func(api.Event)) (*attempt, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.current != nil && e.current.ended {
		over := e.current.over
		e.mu.Unlock()
		<-over // it only has to say so
		e.mu.Lock()
	}
	if e.closed {
		return nil, &api.Error{Code: api.CodeStopping, Message: fmt.Sprintf("cannot begin the %s: %v", kind, errStopping)}
	}
	if e.current != nil {
		return nil, ErrBusy
	}
	e.idle.Add(1)
	e.current = newAttempt(e, kind, on)
	return e.current, nil
}

func (e *Engine) end(a *attempt) {
	e.mu.Lock()
	e.current = nil
	e.mu.Unlock()
	if e.Over != nil {
		e.Over()
	}
	close(a.over)
	e.idle.Done()
}
