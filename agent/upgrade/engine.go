package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/relup"
	"theseus/agent/trust"
	"theseus/rpc"
	"theseus/volume"
)

// Handler is release_handler of one incarnation of the node, and what can be observed of it. *rpc.Node is one.
type Handler interface {
	WhichReleases(ctx context.Context) ([]rpc.Release, error)
	SetUnpacked(ctx context.Context, relFile string) error
	SetRemoved(ctx context.Context, version string) error
	CheckInstallRelease(ctx context.Context, version string, purge bool) (rpc.Installed, error)
	InstallRelease(ctx context.Context, version string, opts rpc.InstallOptions) (rpc.Installed, error)
	MakePermanent(ctx context.Context, version string) error

	InitStatus(ctx context.Context) (internal, provided string, err error)
	Applications(ctx context.Context) ([]rpc.App, error)
	ModifiedModules(ctx context.Context, modules []string) ([]string, error)
	Busy(ctx context.Context, modules []string, timeout time.Duration) ([]rpc.Process, error)
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
	Boot   time.Duration   // how long a release may take to boot
	Record func(api.Event) // log and history
	Trust  trust.Policy    // whose packages may be installed
	Keep   volume.Keep     // of older releases, once a new one is permanent
	// Configure resolves what the configuration of a release on the volume leaves open, before it is installed; may be nil.
	Configure func(ctx context.Context, version string) error

	// Derive makes the relup that a package lacks; may be nil.
	Derive func(ctx context.Context, from volume.Release, to *volume.Staged) (relup.Made, error)

	AlwaysDerive    bool // also where the request does not ask for it
	RefuseDowngrade bool // to an older version, unless the request allows it

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
	defer e.end()
	a.mayRestart = req.Restart
	if req.Settle != nil {
		a.settle = *req.Settle
	}
	a.mayDerive = a.Derive != nil && (req.Derived || e.AlwaysDerive)
	a.mayGoDown = req.AllowDowngrade || !e.RefuseDowngrade
	a.walk(run, []step{
		{Received, func(context.Context) error { return a.receive(caller, req, pkg) }},
		{Verified, a.verify},
		{Planned, a.plan},
		{Unpacked, a.publish},
		{Checked, a.check},
		{Installing, a.enter},
		{Probation, a.install},
		{Committed, a.observeAndCommit},
	})
	return nil
}

// Rollback brings the node to a release that is on the volume already.
func (e *Engine) Rollback(run context.Context, req api.RollbackRequest, on func(api.Event)) error {
	a, err := e.begin("rollback", on)
	if err != nil {
		return err
	}
	defer e.end()
	a.mayRestart = req.Restart
	a.walk(run, []step{
		{Planned, func(ctx context.Context) error { return a.planRollback(ctx, req) }},
		{Unpacked, a.adopt},
		{Checked, a.check},
		{Installing, a.enter},
		{Probation, a.install},
		{Committed, a.observeAndCommit},
	})
	return nil
}

// Current describes the attempt under way, or is nil.
func (e *Engine) Current() *api.Upgrade {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil {
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

func (e *Engine) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = nil
	e.idle.Done()
}
