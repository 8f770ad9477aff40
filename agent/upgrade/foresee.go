package upgrade

import (
	"context"
	"errors"

	"theseus/agent/api"
	"theseus/agent/relup"
	"theseus/rpc/term"
	"theseus/volume"
)

// Question is what an upgrade would be asked for.
type Question struct {
	From   string // the version that runs
	To     volume.Release
	Staged *volume.Staged // nil: it is on the volume
}

// Prospect is the way that an upgrade would take, and what would keep it from it.
type Prospect struct {
	Hops     []Hop // none where no relup leads there
	Restarts bool  // the relup restarts the emulator
	NewERTS  bool  // before anything else
	Back     bool  // relups lead back all of the way, in service
	// Derived is the relup that was made for want of one. The engine takes it only where that was asked for.
	Derived *relup.Made
	// Refusals are all the reasons for which nothing would be done.
	Refusals []*api.Error
	// NoWay is why only a restart leads there.
	NoWay []*api.Error
}

// Hop is one relup of the way.
type Hop struct {
	From, To     string
	Instructions []term.Term
}

// Foresee plans an upgrade as the engine does when it is asked for one, and does nothing. Where the engine ends at the first reason, all of
// them are found, and nobody is told of it. The engine needs nothing for it but a volume to be looked at, and what makes relups.
func (e *Engine) Foresee(ctx context.Context, q Question) (Prospect, error) {
	a := e.foreseer(q)
	target, err := a.targetRelup()
	if err != nil {
		return Prospect{}, err
	}
	var p Prospect
	switch {
	case a.to == a.from:
		p.refuse(a, a.isInstalled())
		return p, nil
	case q.Staged != nil:
		p.refuse(a, a.checkOrder())
	}
	err = a.planRelups(target)
	if err == nil {
		p.take(a.way)
		return p, nil
	}
	return p, p.despair(ctx, a, err, target)
}

// foreseer is an attempt that is not carried out, of an engine that keeps it to itself.
func (e *Engine) foreseer(q Question) *attempt {
	kind := "upgrade"
	if q.Staged == nil {
		kind = "install"
	}
	silent := func(api.Event) {}
	a := newAttempt(&Engine{Volume: e.Volume, Image: e.Image, Derive: e.Derive, Record: silent}, kind, silent)
	a.from, a.staged = q.From, q.Staged
	a.name = e.Volume.State().Releases[q.From].Name
	a.target(q.To)
	a.label = a.describeRelease(a.to)
	a.mayRestart = true // so that a relup that restarts the emulator is a way
	a.mayGoDown = !e.RefuseDowngrade
	return a
}

func (a *attempt) targetRelup() (*volume.Relup, error) {
	if a.staged != nil {
		return a.staged.Relup()
	}
	return a.Volume.Relup(a.to)
}

// despair is for a target to which no relup leads: one may be made.
func (p *Prospect) despair(ctx context.Context, a *attempt, noWay error, target *volume.Relup) error {
	if refused := (*api.Error)(nil); !errors.As(noWay, &refused) {
		return noWay
	}
	p.NoWay = append(p.NoWay, a.explain(noWay))
	if target != nil || a.staged == nil || a.Derive == nil || a.mayLeadUp() != nil {
		return nil //nolint:nilerr // there is no other way, and that is told
	}
	err := a.planDerived(ctx)
	if refused := (*api.Error)(nil); errors.As(err, &refused) {
		p.NoWay = append(p.NoWay, a.explain(err))
		return nil
	}
	if err != nil {
		return err
	}
	p.take(a.way)
	p.Derived = a.made
	return nil
}

func (p *Prospect) refuse(a *attempt, err error) {
	if err != nil {
		p.Refusals = append(p.Refusals, a.explain(err))
	}
}

func (p *Prospect) take(way plan) {
	for _, h := range way.hops {
		p.Hops = append(p.Hops, Hop{From: h.from, To: h.to, Instructions: h.instructions})
	}
	p.Restarts, p.NewERTS, p.Back = way.restarts(), way.newERTS(), way.back()
}
