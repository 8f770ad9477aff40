package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"theseus/agent/api"
	"theseus/agent/upgrade"
	"theseus/volume"
)

// prepare brings the volume to where a node can be launched from it: what a crash left is settled, the
// decision what to boot is taken, and that release is complete.
func (a *agent) prepare(ctx context.Context, image volume.Image) (decision, error) {
	a.settle()
	seed, unusable := findSeed(a.config)
	if unusable != nil && a.volume.State().Current == "" {
		return decision{}, unusable
	}
	a.follow(image, seed)
	d, err := a.decide(ctx, image, seed)
	if err != nil {
		return d, err
	}
	if unusable != nil {
		a.refuseSeed(&d, unusable)
	}
	if d.seed {
		d, err = a.seed(ctx, seed.path, image, d)
		if err != nil {
			return d, err
		}
	}
	if err := a.complete(ctx, &d, image, seed); err != nil {
		return d, err
	}
	a.retain(d.version)
	a.journal.note("boot.decided", fmt.Sprintf("%s boots: %s", d.version, d.reason), map[string]any{"version": d.version})
	a.boot.Store(&d)
	return d, nil
}

// follow has the keeper's later decisions taken, and told, as the first one is.
func (a *agent) follow(image volume.Image, seed seedPackage) {
	a.keeper.giveUp = func(ctx context.Context, why string) string { return a.giveUp(ctx, image, seed, why) }
	a.keeper.booted = func(version, reason string) { a.boot.Store(&decision{version: version, reason: reason}) }
}

// decide takes the decision. An upgrade that died, and a release that is spent, are over before it.
func (a *agent) decide(ctx context.Context, image volume.Image, seed seedPackage) (decision, error) {
	d, err := decideBoot(a.volume.State(), seed.digest, a.config)
	if err == nil && d.reverted != nil {
		a.revertDead(*d.reverted)
	}
	if err != nil || d.spent == "" {
		return d, err
	}
	instead := a.giveUp(ctx, image, seed, "")
	if instead == "" {
		return d, err
	}
	next, err := decideBoot(a.volume.State(), seed.digest, a.config)
	if err == nil && !next.seed {
		next.reason = instead
	}
	return next, err
}

// settle removes what a crash left half done on the volume. What cannot be removed now, on a disk that is full or
// worse, is tried again at the next start: it is no reason not to boot.
func (a *agent) settle() {
	if owner, stale := a.volume.TakenOver(); stale {
		a.journal.note("volume.taken_over", fmt.Sprintf("the agent before did not give the volume back: %s", owner),
			map[string]any{"host": owner.Host, "pid": owner.PID, "since": owner.Since, "agent": owner.Agent})
	}
	report, err := a.volume.Recover()
	for _, line := range report {
		a.journal.note("volume.recovered", line, nil)
	}
	op := a.volume.State().Operation
	if op != nil && op.Phase == volume.PhaseCommitted {
		err = errors.Join(err, a.volume.Finish())
	}
	if err != nil {
		a.log.Error("cannot settle what the last run left on the volume", "err", err)
	}
}

// revertDead tells of an upgrade that died with the node or the container, before its commit. The operation that is
// not over says so too, so a disk that is too full to record it does not keep the old release from its boot.
func (a *agent) revertDead(op volume.Operation) {
	where := op.Phase
	if where == string(upgrade.Probation) {
		where = "on probation"
	}
	reason := fmt.Sprintf("the node or the container ended while the %s from %s to %s was %s; it is as if it had never begun", op.Kind, op.From, op.To, where)
	outcome, failure := api.Aborted, (*volume.Failure)(nil)
	if op.Phase == string(upgrade.Installing) || op.Phase == string(upgrade.Probation) {
		outcome, failure = api.Reverted, &volume.Failure{Upgrade: op.ID, Reason: reason, At: time.Now()}
	}
	if err := a.volume.Abort(failure); err != nil {
		a.log.Error(fmt.Sprintf("cannot record that the %s to %s was %s", op.Kind, op.To, outcome), "err", err)
	}
	a.removeUnborn(op.To)
	result := api.Result{
		ID: op.ID, Outcome: outcome, Name: a.volume.State().Releases[op.From].Name, From: op.From, To: op.To, Restart: true, Duration: time.Since(op.Started),
		Error: &api.Error{Code: "node-ended", Message: reason},
	}
	a.journal.record(api.Event{
		Time: time.Now(), Upgrade: op.ID, Kind: op.Kind + "." + string(outcome), Message: reason, Result: &result, Error: result.Error,
	})
}

// removeUnborn removes a release that never was permanent and that nobody wants for later, so that its package can be mended and tried again.
func (a *agent) removeUnborn(version string) {
	r, there := a.volume.State().Releases[version]
	if !there || !r.Unborn() {
		return
	}
	if err := a.volume.Remove(version); err != nil {
		a.log.Error("cannot remove "+version+", which an upgrade left", "err", err)
	}
}

// seed unpacks the image's package. Where that cannot be done and the volume has a release, that one boots,
// loudly: a new image that does not fit must not take the service down.
func (a *agent) seed(ctx context.Context, path string, image volume.Image, d decision) (decision, error) {
	release, known, err := a.unpackSeed(ctx, path, image)
	if err == nil && known {
		d.reason = fmt.Sprintf("permanent on the volume; the image's new package holds %s %s as the volume has it already", release.Name, release.Version)
		return d, nil
	}
	if err == nil {
		d.version = release.Version
		if d.spent != "" {
			a.quarantine(d.spent, d.version, "")
		}
		a.journal.note("volume.seeded", fmt.Sprintf("%s %s is unpacked from %s: %s", release.Name, release.Version, path, d.reason),
			map[string]any{"version": release.Version, "sha256": release.Package})
		return d, nil
	}
	err = fmt.Errorf("cannot seed the volume from %s: %w", path, err)
	if d.version == "" {
		return d, err
	}
	a.refuseSeed(&d, err)
	return d, nil
}

func (a *agent) refuseSeed(d *decision, err error) {
	a.journal.record(api.Event{
		Time: time.Now(), Kind: "volume.seed_refused", Message: err.Error(),
		Error: &api.Error{Code: "seed-refused", Message: err.Error(), State: d.version + " boots, as before"},
	})
	d.reason = "permanent on the volume; the image's package was refused: " + err.Error()
}

// unpackSeed publishes the image's release and makes it the one that boots. A release that the volume has with
// the same content is known: its package was only built once more, and what boots stays as it is, unless the
// policy wants the image's.
func (a *agent) unpackSeed(ctx context.Context, path string, image volume.Image) (r volume.Release, known bool, err error) {
	pkg, signer, err := a.receiveSeed(ctx, path)
	if err != nil {
		return r, false, err
	}
	state := a.volume.State()
	staged, err := a.volume.Stage(ctx, pkg, state.Releases[state.Current].Name, nil)
	if err != nil {
		return r, false, errors.Join(err, a.volume.Discard(pkg))
	}
	staged.Release.Signer = signer
	before, there := state.Releases[staged.Release.Version]
	r, err = staged.Publish(image)
	if err != nil {
		return r, false, errors.Join(err, staged.Discard(), a.volume.Discard(pkg))
	}
	if there && !before.Permanent.IsZero() && before.Manifest == r.Manifest && state.Current != "" &&
		(a.config.SeedPolicy != SeedImage || r.Version == state.Current || state.Quarantined(r.Version)) {
		return r, true, errors.Join(a.volume.RememberSeed(pkg.Digest), a.volume.Discard(pkg))
	}
	if err := a.volume.Link(image, r.Version); err != nil {
		return r, false, err
	}
	return r, false, a.volume.Seed(r.Version, pkg.Digest)
}

// complete makes sure that every file of the release is what was unpacked. A damaged release is restored from
// its package; one that cannot be, or needs another OTP than the image has, gives way to one before it.
func (a *agent) complete(ctx context.Context, d *decision, image volume.Image, seed seedPackage) error {
	var errs []error
	for _, version := range append([]string{d.version}, a.volume.State().Fallbacks(d.version)...) {
		err := a.makeWhole(ctx, version, image, seed)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if version != d.version {
			a.giveWay(d, version, errs[0])
		}
		return nil
	}
	all := errs[0]
	for _, err := range errs[1:] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	return all
}

func (a *agent) giveWay(d *decision, version string, why error) {
	a.journal.record(api.Event{
		Time: time.Now(), Kind: "release.unusable", Message: why.Error(),
		Error: &api.Error{Code: "release-unusable", Message: why.Error(), State: version + " boots instead"},
	})
	d.version, d.reason = version, "the permanent release is unusable: "+why.Error()
}

func (a *agent) makeWhole(ctx context.Context, version string, image volume.Image, seed seedPackage) error {
	if err := a.volume.Link(image, version); err != nil {
		return fmt.Errorf("cannot boot %s: %w", version, err)
	}
	damage, err := a.repair(ctx, version, seed)
	if err != nil {
		return fmt.Errorf("cannot boot %s: %w", version, err)
	}
	if damage != nil {
		a.journal.note("release.restored", fmt.Sprintf("%s was restored from its package: %v", version, damage), nil)
	}
	return nil
}

// repair puts a release right from its kept package; where that is damaged too, and the image brings the same one,
// from the image's.
func (a *agent) repair(ctx context.Context, version string, seed seedPackage) (damage, err error) {
	damage, err = a.volume.Repair(version)
	if err == nil || a.volume.State().Releases[version].Package != seed.digest {
		return damage, err
	}
	if _, _, again := a.receiveSeed(ctx, seed.path); again != nil {
		return damage, fmt.Errorf("%w, nor from the image's: %w", err, again)
	}
	_, err = a.volume.Repair(version)
	return damage, err
}

// seedPackage is what the image brings; its zero value is nothing.
type seedPackage struct{ path, digest string }

func findSeed(c Config) (seedPackage, error) {
	path, err := c.SeedPackage()
	if err != nil {
		return seedPackage{}, err
	}
	digest, err := digestOf(path)
	if err != nil {
		return seedPackage{}, err
	}
	return seedPackage{path, digest}, nil
}

// digestOf is the sha256 of a file, in hex; of no file it is empty.
func digestOf(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the seed package: %w", err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fmt.Errorf("cannot read the seed package %s: %w", filepath.Base(path), err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
