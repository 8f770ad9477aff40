package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"theseus/rpc"
	"theseus/volume"
)

const (
	busyTimeout       = 500 * time.Millisecond // a process that does not answer for so long, and once more, is busy
	codeChangeTimeout = 30 * time.Second       // for each process; OTP's own default is 5 s
	suspendTimeout    = 10 * time.Second       // for each process; after it OTP skips the process silently
)

// beginOperation writes the intent, before the first thing on the volume changes.
func (a *attempt) beginOperation() error {
	err := a.Volume.Begin(volume.Operation{ID: a.id, Kind: a.kind, From: a.from, To: a.to, Via: a.way.over(), Phase: string(a.state), Started: a.started})
	a.operationBegun = err == nil
	return err
}

// endLast ends the operation of an attempt before this one, where the disk was too full to record its end. Only one
// attempt is under way, so whatever is recorded is over. It comes before anything is received: the package may be the same.
func (a *attempt) endLast() error {
	last := a.Volume.State()
	switch {
	case last.Operation == nil:
		return nil
	case last.Operation.Phase == volume.PhaseCommitted:
		return a.Volume.Finish()
	}
	err := a.Volume.Abort(nil)
	if r, there := last.Releases[last.Operation.To]; err == nil && there && r.Unborn() && r.Version != a.from {
		err = a.Volume.Remove(r.Version)
	}
	return err
}

// check asks release_handler and the node whether the installation can go through. A node that would lose
// its state in the middle of it is refused here: behind the point of no return OTP only restarts. Who has allowed a
// restart gets that instead: a process that is stuck for good must not keep the release that it is stuck in.
func (a *attempt) check(ctx context.Context) error {
	if a.way.cold {
		return a.configure(ctx, a.to)
	}
	err := a.checkHot(ctx)
	if err == nil && a.next().to == a.to { // once, and when the target's configuration is filled in
		a.warnCold()
	}
	if err == nil || !a.mayRestart || ctx.Err() != nil || a.nodeEnded() {
		return err
	}
	if unresolved := a.configure(ctx, a.to); unresolved != nil { // of a release in between a restart needs none
		return unresolved
	}
	a.warn("%v", err)
	a.planCold()
	return nil
}

// configure has the configuration of a release filled in, the way back's as well as the target's: what it was made from may
// have changed since.
func (a *attempt) configure(ctx context.Context, version string) error {
	if a.Configure == nil {
		return nil
	}
	err := a.Configure(ctx, version)
	switch {
	case err == nil:
		return nil
	case version != a.to:
		return refuse("config-unresolved", "cannot %s over %s: %v", a.goal(a.to), version, err)
	}
	return refuse("config-unresolved", "cannot %s: %v", a.goal(version), err)
}

func (a *attempt) checkHot(ctx context.Context) error {
	next := a.next()
	if err := a.configure(ctx, next.to); err != nil {
		return err
	}
	if err := a.checkDrift(ctx); err != nil {
		return err
	}
	if err := a.checkProcesses(ctx, next.suspended); err != nil {
		return err
	}
	if err := a.register(ctx, next.to); err != nil {
		return err
	}
	if next.newERTS {
		return nil // release_handler would have this ERTS read code that is for the new one
	}
	_, err := ask(ctx, a, func(h Handler) (rpc.Installed, error) { return h.CheckInstallRelease(ctx, next.to, true) })
	if err != nil {
		return err
	}
	a.emit("node.checked", "release_handler accepts "+a.describeRelease(next.to), map[string]any{"version": next.to})
	return nil
}

// checkProcesses finds those that release_handler would skip because they do not answer in time, and that
// would then meet the new code with their old state (release_handler_1:suspend).
func (a *attempt) checkProcesses(ctx context.Context, suspended []string) error {
	if len(suspended) == 0 {
		return nil
	}
	busy, err := ask(ctx, a, func(h Handler) ([]rpc.Process, error) { return h.Busy(ctx, suspended, busyTimeout) })
	if err != nil || len(busy) == 0 {
		return err
	}
	var names []string
	for _, p := range busy {
		names = append(names, fmt.Sprintf("%s (%s)", p.Name, strings.Join(p.Modules, ", ")))
	}
	e := refuse("busy-processes", "cannot %s: %d processes that must change do not answer: %s", a.verb(), len(busy), some(names))
	e.Hint = "try again when they are idle"
	return e
}

// register tells release_handler of the release, unless it knows it, and makes sure that it starts from what runs:
// one that crashed and was started anew has forgotten what it had installed, and would take the relup of another
// release (release_handler:get_rh_script/4). What it knows of one that was published only
// now is left from an attempt that it could not be told the end of, maybe with other applications.
func (a *attempt) register(ctx context.Context, version string) error {
	known, err := a.mendedRecords(ctx)
	if err != nil {
		return err
	}
	if believed := current(known); believed != a.at() {
		e := refuse("record-drift", "cannot %s: %s runs, and release_handler believes that %s does", a.verb(), a.describeRelease(a.at()), believed)
		e.Hint = "a restart of the container corrects it"
		return e
	}
	h, err := a.node.Handler(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known, func(r rpc.Release) bool { return r.Version == version }) {
		if version != a.to || !a.unpackedByUs {
			return nil
		}
		if err := h.SetRemoved(ctx, version); err != nil {
			return err
		}
	}
	err = h.SetUnpacked(ctx, a.Volume.RelFile(version))
	if err == nil || errors.Is(err, rpc.ErrUnknownOutcome) {
		a.registered = append(a.registered, version)
	}
	return err
}

// mendedRecords are the releases that release_handler knows. Where it found no records when it started it has invented one, without
// applications, from which an upgrade goes well and the way back does not (release_handler:init/1): then it reads them again.
func (a *attempt) mendedRecords(ctx context.Context) ([]rpc.Release, error) {
	which := func(h Handler) ([]rpc.Release, error) { return h.WhichReleases(ctx) }
	known, err := ask(ctx, a, which)
	if err != nil || !slices.ContainsFunc(known, func(r rpc.Release) bool { return r.Version == a.from && len(r.Libs) == 0 }) {
		return known, err
	}
	a.warn("release_handler has started without its records: they are written anew, and it reads them again")
	if err := a.Volume.Derive(a.from); err != nil {
		return nil, err
	}
	h, err := a.node.Handler(ctx)
	if err == nil {
		err = h.ReadReleases(ctx)
	}
	if err != nil {
		return nil, err
	}
	return ask(ctx, a, which)
}

// unregister takes register back, also where nobody knows whether it was done.
func (a *attempt) unregister(ctx context.Context) error {
	var errs []error
	for _, version := range a.registered {
		if a.node == nil || a.nodeEnded() {
			break
		}
		h, err := a.node.Handler(ctx)
		if err == nil {
			err = h.SetRemoved(ctx, version)
			a.outwait(ctx, err)
		}
		var refused *rpc.ReleaseError
		if !errors.As(err, &refused) || refused.Code() != rpc.CodeNoSuchRelease {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (a *attempt) initStatus(ctx context.Context) (internal string, err error) {
	return ask(ctx, a, func(h Handler) (string, error) {
		internal, _, err := h.InitStatus(ctx)
		return internal, err
	})
}

// ask puts a question to the node that changes nothing there. Where the connection breaks, which says nothing of the node
// but that it may be about to end, it is put once more over a new one.
func ask[T any](ctx context.Context, a *attempt, question func(Handler) (T, error)) (answer T, err error) {
	for again := range 2 {
		if again > 0 && a.stays(ctx, verdictQuiet) != nil {
			break
		}
		var h Handler
		if h, err = a.node.Handler(ctx); err == nil {
			answer, err = question(h)
		}
		if !isLost(err) {
			break
		}
	}
	return answer, err
}

// isLost tells an error of the connection from one of the node, and from an answer that did not come in time.
func isLost(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	return errors.Is(err, rpc.ErrUnknownOutcome) || errors.Is(err, rpc.ErrNotSent) || errors.Is(err, rpc.ErrRefused)
}

// stays waits, and is nil when the node lived that long.
func (a *attempt) stays(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-a.node.Ended():
		return errNodeEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nodeEnded tells of an end that nobody asked for.
func (a *attempt) nodeEnded() bool {
	if a.node == nil {
		return false
	}
	select {
	case <-a.node.Ended():
		return true
	default:
		return false
	}
}

// some lists the first few of many.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
