package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/volume"
)

// receive keeps the package's bytes on the volume. It is the only step that ends with the caller.
func (a *attempt) receive(caller context.Context, req api.UpgradeRequest, pkg io.Reader) error {
	a.label = req.Name
	begun := time.Now()
	signed, err := a.Trust.Open(pkg, req.Signature)
	if err != nil {
		return err
	}
	report := a.progress()
	kept, err := a.Volume.Receive(caller, signed, func(done int64) { report(done, req.Size) })
	if err != nil {
		return fmt.Errorf("cannot receive %s: %w", req.Name, err)
	}
	a.pkg = kept
	if want := strings.ToLower(req.SHA256); want != "" && want != kept.Digest {
		return refuse("wrong-digest", "cannot use %s: its sha256 is %s, not %s", req.Name, kept.Digest, want)
	}
	a.emit("package.received", fmt.Sprintf("%s: %d bytes, sha256 %s", req.Name, kept.Size, kept.Digest), map[string]any{
		"bytes": kept.Size, "sha256": kept.Digest, "ms": time.Since(begun).Milliseconds(),
	})
	return a.authenticate(signed)
}

// authenticate finds out who signed the package, before anything of it is unpacked.
func (a *attempt) authenticate(pkg *trust.Package) error {
	signer, err := pkg.Signer()
	if err != nil {
		return err
	}
	a.signer = volume.Signer(signer)
	switch {
	case a.Trust.Required():
		a.emit("package.trusted", signer.String(), map[string]any{"key": signer.Key, "comment": signer.Comment})
	case pkg.Unchecked():
		a.warn("the signature of %s was not checked: AGENT_PUBLIC_KEYS names no keys", a.label)
	}
	return nil
}

// verify unpacks beside everything else, where nothing can be harmed, and looks at what came out.
func (a *attempt) verify(ctx context.Context) error {
	begun := time.Now()
	staged, err := a.Volume.Stage(ctx, a.pkg, a.name, a.progress())
	if err != nil {
		return err
	}
	staged.Release.Signer = a.signer
	a.staged = staged
	a.target(staged.Release)
	if err := staged.FitsImage(a.Image); err != nil { // whatever else it lacks: a way in service would not help
		return err
	}
	a.emit("package.verified", fmt.Sprintf("%s with %d applications", a.describeRelease(a.to), len(a.release.Libs)), map[string]any{
		"version": a.to, "erts": a.release.ERTS, "ms": time.Since(begun).Milliseconds(),
	})
	return nil
}

// publish moves the release from the stage to its place on the volume.
func (a *attempt) publish(ctx context.Context) error {
	if err := a.beginOperation(); err != nil {
		return err
	}
	begun := time.Now()
	_, known := a.Volume.State().Releases[a.to]
	release, err := a.staged.Publish(a.Image)
	if err != nil {
		return err
	}
	a.unpackedByUs = !known
	a.target(release)
	a.warnUndone(a.staged.Discard())
	if known { // its own package is kept already, with which this one may agree in the files alone
		err = errors.Join(a.makeWhole(a.to), a.Volume.Discard(a.pkg))
	}
	if err == nil {
		err = a.Volume.Link(a.Image, a.to)
	}
	if err == nil {
		err = a.completeWay(ctx)
	}
	if err == nil {
		err = a.placeDerived()
	}
	if err != nil {
		return err
	}
	a.emit("release.unpacked", a.describeRelease(a.to)+" is on the volume", map[string]any{"ms": time.Since(begun).Milliseconds()})
	return nil
}

// makeWhole makes the files of a release that was on the volume before what was unpacked.
func (a *attempt) makeWhole(version string) error {
	damage, err := a.Volume.Repair(version)
	if err == nil && damage != nil {
		a.warn("%s was damaged on the volume, and was restored from its package", a.describeRelease(version))
	}
	return err
}

// adopt is publish for a release that is on the volume already.
func (a *attempt) adopt(ctx context.Context) error {
	if err := a.beginOperation(); err != nil {
		return err
	}
	err := a.complete(a.to)
	if err == nil {
		err = a.completeWay(ctx)
	}
	if err != nil {
		return err
	}
	a.emit("release.verified", a.describeRelease(a.to)+" is complete on the volume", nil)
	return nil
}

// complete makes sure of a release that is on the volume.
func (a *attempt) complete(version string) error {
	if err := a.makeWhole(version); err != nil {
		return err
	}
	return a.Volume.Link(a.Image, version)
}

// completeWay makes sure of the releases in between. A restart needs none of them.
func (a *attempt) completeWay(ctx context.Context) error {
	for _, version := range a.way.over() {
		err := a.complete(version)
		if err == nil {
			continue
		}
		err = fmt.Errorf("cannot %s over %s: %w", a.goal(a.to), version, err)
		if !a.mayRestart || ctx.Err() != nil {
			return err
		}
		a.warn("%v", err)
		a.planCold()
		return nil
	}
	return nil
}

// unpack publishes a release that stays on the volume until somebody installs it.
func (a *attempt) unpack(ctx context.Context) error {
	if err := a.checkOrder(); err != nil {
		return err
	}
	if err := a.publish(ctx); err != nil {
		return err
	}
	err := a.Volume.Want()
	a.operationBegun = err != nil
	return err
}
