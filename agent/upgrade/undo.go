package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/agent/api"
	"theseus/volume"
)

// fail ends an attempt that could not go on, in the state that the table has for it.
func (a *attempt) fail(ctx context.Context, cause error) {
	cause = a.because(ctx, cause)
	a.littered = true // a disk that fails, or is full, may not let go of what was just written
	begun := a.state == Installing || a.state == Probation
	if begun && (!errors.Is(cause, errUntouched) || len(a.passed) > 0) {
		a.revert(ctx, cause)
		return
	}
	a.Keeper.Protect("")
	a.abort(ctx, cause)
}

// outwait gives a node that has lost its connection the time to be seen to have ended: when it is killed, connections
// go some milliseconds before.
func (a *attempt) outwait(ctx context.Context, err error) {
	if a.node != nil && isLost(err) {
		_ = a.stays(ctx, verdictQuiet)
	}
}

// because says when the agent's stop or the node's end is behind the error that was seen first.
func (a *attempt) because(ctx context.Context, err error) error {
	if errors.Is(err, errStopping) || errors.Is(err, errNodeEnded) {
		return err
	}
	a.outwait(ctx, err)
	switch {
	case a.nodeEnded():
		return fmt.Errorf("%w: %w", errNodeEnded, err)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return errStopping
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errStopping, err)
	}
	return err
}

// abort gives up before the node was touched, and takes back what is on the disk.
func (a *attempt) abort(ctx context.Context, cause error) {
	a.takeBack(ctx, nil)
	a.move(Aborted)
	e := a.explain(cause)
	outcome := api.Aborted
	if isRefusal(cause) {
		outcome = api.Refused
	}
	r := a.result(outcome, e)
	switch {
	case a.from == "":
	case r.Running != "":
		e.State = fmt.Sprintf("%s still runs, nothing was changed", a.describeRelease(a.from))
	default:
		e.State = fmt.Sprintf("nothing was changed, %s boots next", a.describeRelease(a.from))
	}
	a.finish(r, a.kind+"."+string(outcome), e.Error())
}

// takeBack undoes the steps in the opposite order. Nothing is left of a release that came with this attempt, so
// that its package can be mended and tried again under the same version.
func (a *attempt) takeBack(ctx context.Context, failed *volume.Failure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	errs := []error{a.unregister(ctx)}
	if a.staged != nil {
		errs = append(errs, a.staged.Discard())
	}
	if a.operationBegun {
		errs = append(errs, a.Volume.Abort(failed))
	}
	if a.unpackedByUs {
		errs = append(errs, a.Volume.Remove(a.to))
	}
	if a.pkg.Digest != "" {
		errs = append(errs, a.Volume.Discard(a.pkg))
	}
	if len(a.registered) > 0 {
		errs = append(errs, a.Volume.Derive(a.from)) // over what release_handler wrote in place
	}
	for _, err := range errs {
		a.warnUndone(err)
	}
}

func (a *attempt) warnUndone(err error) {
	if err != nil {
		a.littered = true
		a.warn("not everything could be taken back: %v; the next upgrade or start of the agent finishes it", err)
	}
}

// tidy takes back what attempts before this one could not. It looks for that as the next start of the agent would, but
// not while the node runs a release that never was permanent: that looks like debris as well.
func (a *attempt) tidy() {
	if inUse, there := a.Volume.State().Releases[a.Keeper.InUse()]; !a.littered || there && inUse.Unborn() {
		return
	}
	if _, err := a.Volume.Recover(); err != nil {
		a.warnUndone(err)
		return
	}
	a.littered = false
}

// revert goes back to the old release: in service where its relup leads back and the node lives, else by a
// restart into it.
func (a *attempt) revert(ctx context.Context, cause error) {
	e := a.explain(cause)
	if errors.Is(cause, errTakenBack) {
		a.emit("upgrade.taken_back", fmt.Sprintf("%s is taken back, as was asked for", a.describeRelease(a.to)), nil)
	} else {
		a.send(api.Event{Kind: "upgrade.failed", Message: fmt.Sprintf("%s did not go well: %s", a.describeRelease(a.to), e.Message), Error: e})
	}
	back := a.goBack(ctx, cause)
	a.Keeper.Protect("")
	if ctx.Err() != nil {
		a.interrupt(e)
		return
	}
	failure := &volume.Failure{Upgrade: a.id, Reason: e.Message, At: time.Now()}
	if back == nil || !a.runs(a.to) {
		if a.condemns(cause) {
			failure.Package = a.release.Package
		}
		a.takeBack(ctx, failure)
	} else {
		a.warnUndone(a.Volume.Abort(failure))
	}
	a.move(Reverted)
	a.tellOfReturn(e, back, errors.Is(cause, errTakenBack))
}

// tellOfReturn ends an attempt whose release was taken back, or could not be. Where that was asked for it is no error.
func (a *attempt) tellOfReturn(e *api.Error, back error, asked bool) {
	outcome := api.Reverted
	switch {
	case back != nil:
		outcome = api.Broken
		e.State = fmt.Sprintf("%s could not be brought back: %v", a.describeRelease(a.from), back)
	case a.restarted:
		e.State = fmt.Sprintf("the node was restarted, %s runs again", a.describeRelease(a.from))
	default:
		e.State = fmt.Sprintf("%s runs again, in service", a.describeRelease(a.from))
	}
	r := a.result(outcome, e)
	if asked && back == nil {
		r.Error = nil
	}
	a.finish(r, a.kind+"."+string(outcome), e.Error())
}

// interrupt leaves an attempt to the next start of the agent, which finds its operation on the volume, boots the old
// release, and takes the new one away: the node may run that still, and ends with the agent.
func (a *attempt) interrupt(e *api.Error) {
	e.State = fmt.Sprintf("%s boots next", a.describeRelease(a.from))
	a.finish(a.result(api.Interrupted, e), a.kind+"."+string(api.Interrupted), e.Error())
}

func (a *attempt) goBack(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(cause, errNodeEnded) {
		return a.awaitOld(ctx)
	}
	if node, version, err := a.Keeper.Running(); a.node == nil && err == nil && version == a.from {
		a.node = node // the keeper was quicker
		return nil
	}
	if a.leadsBack() && a.answers(ctx) {
		err := a.installBack(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		a.warn("%s could not be brought back in service: %v; the node is restarted", a.describeRelease(a.from), err)
		if errors.Is(err, errNodeEnded) {
			return a.awaitOld(ctx)
		}
	}
	return a.restartInto(ctx, a.from)
}

// leadsBack says that the node can go back in service: over all that is behind it, and nothing else was done to it.
func (a *attempt) leadsBack() bool {
	return len(a.passed) > 0 && !a.leaping && !a.way.cold && plan{hops: a.passed}.back()
}

// answers says that the node is not stuck. The way back has as much time as the way there, which a node that answers nobody
// must not take.
func (a *attempt) answers(ctx context.Context) bool {
	short, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	h, err := a.node.Handler(short)
	if err == nil {
		_, _, err = h.InitStatus(short)
	}
	stuck := errors.Is(err, context.DeadlineExceeded)
	if stuck {
		a.warn("the node answers nobody; it is restarted")
	}
	return !stuck
}

// awaitOld waits for the restart that Protect asked for.
func (a *attempt) awaitOld(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.restartTime())
	defer cancel()
	a.restarted = true
	if err := a.Keeper.Await(ctx, a.node); err != nil {
		return err
	}
	return a.meetAgain(a.from)
}

func (a *attempt) installBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, revertTimeout)
	defer cancel()
	var err error
	for err == nil && len(a.passed) > 0 {
		err = a.leapBack(ctx, a.passed[len(a.passed)-1])
	}
	if err == nil {
		return nil
	}
	if gone := a.stays(ctx, verdictQuiet); gone != nil { // as in verdict: the error comes before the end
		return fmt.Errorf("%w: %w", gone, err)
	}
	return err
}

// leapBack takes the last hop back.
func (a *attempt) leapBack(ctx context.Context, h hop) error {
	if err := a.askInstall(ctx, h.from); err != nil {
		return err
	}
	a.passed = a.passed[:len(a.passed)-1]
	a.Keeper.Upgraded(a.node, h.from)
	if err := a.consolidate(ctx, h.to, h.from); err != nil {
		return err
	}
	return a.observe(ctx, a.Volume.State().Releases[h.from])
}

// move goes to a final state.
func (a *attempt) move(to State) {
	if err := a.reach(to); err != nil {
		a.warn("%v", err)
	}
}
