package upgrade

import (
	"context"
	"errors"
	"fmt"
	"time"

	"theseus/rpc"
)

var (
	errStopping  = errors.New("the agent was told to stop")
	errNodeEnded = errors.New("the node ended")
	errUntouched = errors.New("the node was not touched") // an installation that failed before its point of no return
)

const (
	installTimeout = 10 * time.Minute       // of the whole call: thousands of processes change one after another
	verdictTimeout = 30 * time.Second       // for a node that is stopping to end
	verdictQuiet   = 500 * time.Millisecond // a node that still runs so long after an error was not touched
	verdictPoll    = 20 * time.Millisecond  //
	commitTimeout  = time.Minute            // of make_permanent
	revertTimeout  = installTimeout         // of the way back in service: what took long on the way there takes long back
	answerTimeout  = 10 * time.Second       // of a node that is to go back in service, to any question
	restartTimeout = 2 * time.Minute        // until a release is up, at least
)

// enter is the last moment before the node changes: from now on its end means a restart into the old release. What
// release_handler may have wanted once before is forgotten.
func (a *attempt) enter(ctx context.Context) error {
	if err := a.askBefore(ctx); err != nil {
		return err
	}
	if err := a.Volume.DropNext(); err != nil {
		return err
	}
	a.Keeper.Protect(a.from)
	a.emit("install.begun", fmt.Sprintf("should the node end from here on, %s boots", a.describeRelease(a.from)), nil)
	return nil
}

// install goes all of the way. Between two relups it makes sure that the first one has done what it should, and that the
// next one can.
func (a *attempt) install(ctx context.Context) error {
	for {
		switch {
		case a.way.cold:
			return a.restartInto(ctx, a.to)
		case a.way.restarts():
			return a.installAcross(ctx)
		}
		if err := a.leap(ctx, a.next()); err != nil {
			return err
		}
		if a.at() == a.to {
			return nil
		}
		if err := a.observe(ctx, a.Volume.State().Releases[a.at()]); err != nil {
			return err
		}
		if err := a.check(ctx); err != nil {
			return err
		}
	}
}

// leap asks for the code of one relup, and finds out what became of it.
func (a *attempt) leap(ctx context.Context, h hop) error {
	begun := time.Now()
	call, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	a.leaping = true
	err := a.askInstall(call, h.to)
	if err != nil {
		err = a.verdict(ctx, err)
	}
	a.leaping = err != nil && !errors.Is(err, errUntouched)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	a.passed = append(a.passed, h)
	a.Keeper.Upgraded(a.node, h.to)
	if err := a.consolidate(ctx, h.from, h.to); err != nil {
		return err
	}
	a.emit("node.installed", fmt.Sprintf("%s runs, %s after the call", a.describeRelease(h.to), took.Round(time.Millisecond)),
		map[string]any{"ms": took.Milliseconds(), "version": h.to, "from": h.from})
	return a.checkChildren(ctx, h)
}

// installAcross asks for the new code where the relup restarts the emulator. The node ends for that by itself, and
// what release_handler made for the next boot is booted on trial: the new release, or, with a new ERTS, the old one
// with the new kernel, stdlib and sasl, in which the upgrade goes on before the boot is over.
func (a *attempt) installAcross(ctx context.Context) error {
	a.Keeper.Expect(a.to)
	call, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	err := a.askInstall(call, a.to)
	if err != nil {
		err = a.verdict(ctx, err)
	}
	var answered *rpc.ReleaseError
	if err != nil && (errors.As(err, &answered) || !errors.Is(err, errNodeEnded)) {
		return err // but if the node has ended and said nothing, what it asked the keeper for is its answer
	}
	wait, cancel := context.WithTimeout(ctx, a.restartTime())
	defer cancel()
	if err := a.Keeper.Await(wait, a.node); err != nil {
		a.Keeper.Protect(a.from) // and expect nothing else any more
		if a.nodeEnded() {       // else it hangs on the way to its end, and nothing was booted
			a.restarted, a.node = true, nil
		}
		return err
	}
	a.restarted, a.node = true, nil
	if err := a.meetAgain(a.to); err != nil {
		return err
	}
	return a.consolidate(ctx, a.from, a.to) // the boot of a hybrid release begins with the old one's
}

// consolidate follows an installation of a release of mix, with what no relup leads to (rpc.Node.UseConsolidated).
func (a *attempt) consolidate(ctx context.Context, from, to string) error {
	modules, err := a.Volume.Consolidated(from, to)
	if err != nil || len(modules) == 0 {
		return err
	}
	_, err = ask(ctx, a, func(h Handler) (any, error) {
		return nil, h.UseConsolidated(ctx, a.Volume.ConsolidatedDir(to), modules)
	})
	if err != nil {
		return fmt.Errorf("cannot bring the consolidated protocols of %s into the node: %w", a.describeRelease(to), err)
	}
	return nil
}

// askInstall is the same for the way there and back.
func (a *attempt) askInstall(ctx context.Context, version string) error {
	h, err := a.node.Handler(ctx)
	if err != nil {
		return err
	}
	_, err = h.InstallRelease(ctx, version, rpc.InstallOptions{
		CodeChangeTimeout: codeChangeTimeout, SuspendTimeout: suspendTimeout, UpdatePaths: true,
	})
	return err
}

// verdict tells what an error of install_release means. The reply comes before OTP acts on it: a failure
// behind the point of no return is followed by init:reboot within milliseconds (release_handler:install_release,
// error_action reboot). A lost reply says nothing at all. So the node is watched:
//
//	it ends, or is stopping          errNodeEnded: the old release boots
//	it runs, the new one is current  nil: the reply was lost, not the upgrade
//	it runs, the old one is current  errUntouched, unless its code says otherwise
func (a *attempt) verdict(ctx context.Context, cause error) error {
	deadline := time.Now().Add(verdictTimeout)
	quiet := time.Now().Add(verdictQuiet)
	for time.Now().Before(deadline) {
		if err := a.stays(ctx, verdictPoll); err != nil {
			return fmt.Errorf("%w: %w", err, cause)
		}
		internal, err := a.initStatus(ctx)
		if err == nil && internal == "started" && time.Now().After(quiet) {
			return a.whichIsCurrent(ctx, cause)
		}
	}
	return fmt.Errorf("the node neither ended nor answered within %s: %w", verdictTimeout, cause)
}

func (a *attempt) whichIsCurrent(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout) // it waits behind an installation that goes on
	defer cancel()
	releases, err := ask(ctx, a, func(h Handler) ([]rpc.Release, error) { return h.WhichReleases(ctx) })
	if err != nil {
		return fmt.Errorf("%w, and %w", cause, err)
	}
	if current(releases) == a.next().to {
		return nil
	}
	if err := a.isUntouched(ctx, cause); err != nil {
		return fmt.Errorf("%w, and %w", cause, err)
	}
	return fmt.Errorf("%w: %w", errUntouched, cause)
}

// isUntouched believes an answer of release_handler. Where there was none it may have crashed, and one that its
// supervisor started anew has forgotten what it had installed (release_handler:init/1 reads RELEASES): then the
// code and the applications must be those of the old release.
func (a *attempt) isUntouched(ctx context.Context, cause error) error {
	var answered *rpc.ReleaseError
	if errors.As(cause, &answered) {
		return nil
	}
	release := a.Volume.State().Releases[a.at()]
	found, err := a.compare(ctx, release, a.changed(release))
	if err == nil {
		err = a.mistakes(release, found)
	}
	if err != nil {
		return err
	}
	return a.observeAlive(ctx, release)
}

// current is the version that runs: one that is installed and was permanent already stays that (release_handler).
func current(releases []rpc.Release) string {
	version := ""
	for _, r := range releases {
		if r.Status == rpc.Current {
			return r.Version
		}
		if r.Status == rpc.Permanent {
			version = r.Version
		}
	}
	return version
}

// restartTime is for the end of a node, and for the boot of the next one.
func (a *attempt) restartTime() time.Duration { return a.Stop + max(restartTimeout, 2*a.Boot) }

// restartInto boots a release, on trial: the other one is still what a crash would boot.
func (a *attempt) restartInto(ctx context.Context, version string) error {
	ctx, cancel := context.WithTimeout(ctx, a.restartTime())
	defer cancel()
	a.restarted, a.node = true, nil // its end is no news
	if err := a.Keeper.Restart(ctx, version); err != nil {
		return err
	}
	return a.meetAgain(version)
}

// meetAgain takes up the incarnation that followed the one that ended.
func (a *attempt) meetAgain(want string) error {
	node, version, err := a.Keeper.Running()
	if err != nil {
		return err
	}
	if version != want {
		return fmt.Errorf("the node runs %s, not %s", version, want)
	}
	a.node = node
	a.emit("node.restarted", a.describeRelease(want)+" was booted", nil)
	return nil
}

// prove watches what was installed: now, when the settling time is over, and when somebody commits it. In between the node
// must not end, and no gate fail.
func (a *attempt) prove(ctx context.Context) error {
	if err := a.observe(ctx, a.release); err != nil {
		return err
	}
	if a.settle == 0 && a.within == 0 { // the first look is the last
		if err := a.lookAround(ctx, a.release); err != nil {
			return err
		}
	}
	if err := a.askAfter(ctx); err != nil {
		return err
	}
	watch := a.watchGates(ctx)
	defer watch.end()
	if a.settle > 0 {
		if err := a.settles(ctx, watch); err != nil {
			return err
		}
		if err := a.lookAgain(ctx); err != nil {
			return err
		}
	}
	if a.within == 0 {
		return nil
	}
	if err := a.rest(ctx, watch); err != nil {
		return err
	}
	return a.lookAgain(ctx)
}

// observeAndCommit ends the probation. The volume's record is the commit: a crash before it boots the old
// release, a crash after it the new one, whatever release_handler has written by then.
func (a *attempt) observeAndCommit(ctx context.Context) error {
	if err := a.prove(ctx); err != nil {
		return err
	}
	if a.nodeEnded() { // while the last gate was asked, perhaps of the old release, which the keeper has booted since
		return errNodeEnded
	}
	if err := a.Volume.Commit(a.restarted && !a.way.newERTS()); err != nil {
		return ownFault{fmt.Errorf("cannot commit %s: %w", a.describeRelease(a.to), err)}
	}
	a.sealed = true
	a.Keeper.Protect("")
	a.catchUp(ctx)
	a.makePermanent(ctx)
	if err := a.Volume.Finish(); err != nil {
		a.warn("the volume could not be told that the upgrade is over: %v", err)
	}
	a.retain(ctx)
	return nil
}

// catchUp has what was committed run, though the node has ended in that very moment: for all that the keeper knew, the old
// release was to be booted.
func (a *attempt) catchUp(ctx context.Context) {
	if !a.nodeEnded() {
		return
	}
	wait, cancel := context.WithTimeout(ctx, a.restartTime())
	defer cancel()
	err := a.Keeper.Await(wait, a.node)
	if err == nil && !a.runs(a.to) {
		err = a.Keeper.Restart(wait, a.to)
	}
	if err == nil {
		err = a.meetAgain(a.to)
	}
	a.restarted = a.restarted || err == nil
	if err != nil {
		a.warn("the node ended in the moment of the commit, and %s does not run: %v", a.describeRelease(a.to), err)
	}
}

// makePermanent lets release_handler follow, and then makes durable what that wrote in place. Its files are
// derived from the volume's record before each boot anyway, so an error here is told and changes nothing.
func (a *attempt) makePermanent(ctx context.Context) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	h, err := a.node.Handler(call)
	if err == nil {
		err = h.MakePermanent(call, a.to)
	}
	a.outwait(call, err)
	if err == nil {
		err = a.Volume.Derive(a.to)
	}
	if err != nil {
		a.warn("release_handler did not make %s permanent: %v; the volume has it so, and the next boot corrects it", a.to, err)
	}
}
