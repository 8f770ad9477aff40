package volume

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// receive, publish and the rest are what the agent does with the volume in an upgrade (agent/upgrade).

func (r *run) receive(version string) (Package, error) {
	return r.v.Receive(context.Background(), bytes.NewReader(r.w.packages[version]), nil)
}

func (r *run) unpack(version string, op *Operation) error {
	pkg, err := r.receive(version)
	if err != nil {
		return err
	}
	s, err := r.v.Stage(context.Background(), pkg, "demo", nil)
	if err != nil {
		return errors.Join(err, r.v.Discard(pkg))
	}
	if op != nil {
		err = r.v.Begin(*op)
	}
	if err == nil {
		_, err = s.Publish(r.w.image)
	}
	if err != nil {
		return errors.Join(err, s.Discard(), r.v.Discard(pkg))
	}
	return r.v.Link(r.w.image, version)
}

func (r *run) upgrade(from, to string) error {
	if err := r.unpack(to, &Operation{ID: "u", Kind: "upgrade", From: from, To: to, Phase: "unpacked"}); err != nil {
		return err
	}
	return r.commit(to)
}

// commit is the rest of an upgrade. release_handler scribbles into its records, without any sync.
func (r *run) commit(to string) error {
	for _, do := range []func() error{
		func() error { return r.v.Advance("installing") },
		r.history,
		func() error { return r.scribble("[{release,") },
		func() error { return r.v.Advance("probation") },
		r.commitTarget,
		func() error { return r.scribble("[{release,\"demo\"") },
		func() error { return r.v.Derive(to) },
		r.v.Finish,
		r.history,
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) commitTarget() error {
	err := r.v.Commit(false)
	if err == nil {
		r.relups.commit()
	}
	return err
}

func (r *run) takeBack(from, to string) error {
	return errors.Join(
		r.v.Abort(&Failure{Upgrade: "u", Reason: "test"}),
		r.v.Remove(to),
		r.v.Derive(from),
	)
}

func (r *run) scribble(content string) error {
	for _, name := range []string{"RELEASES", "start_erl.data", "new_start_erl.data"} {
		n, err := r.disk.find(r.v.Path(releaseDir, name))
		if err != nil {
			f, err := r.disk.Create("OTP", r.v.Path(releaseDir, name), 0o644)
			if err != nil {
				return err
			}
			n = f.(*modelWriter).n
		}
		n.data = []byte(content)
		n.changed()
	}
	return nil
}

func (r *run) seedVolume() error {
	if err := r.unpack(r.w.seed, nil); err != nil {
		return err
	}
	return r.v.Seed(r.w.seed, digestOf(r.w.packages[r.w.seed]))
}

// start is what the agent does with the volume when it starts (agent/prepare.go, agent/boot.go), and returns what boots.
func (r *run) start() (string, error) {
	v := r.v
	if _, err := v.Recover(); err != nil {
		return "", err
	}
	if err := r.settle(); err != nil {
		return "", err
	}
	if v.State().Current == "" {
		if err := r.seedVolume(); err != nil {
			return "", err
		}
	}
	if err := r.giveUp(); err != nil {
		return "", err
	}
	boots := v.State().Current
	if err := v.Link(r.w.image, boots); err != nil {
		return "", err
	}
	if _, err := v.Repair(boots); err != nil {
		return "", err
	}
	r.damaged = r.damaged && (r.failed || r.v.wholeAll() != nil)
	return boots, errors.Join(v.CountBoot(boots, time.Now()), r.history(), v.Derive(boots))
}

// attempts is after how many boots an unproven release is given up.
const attempts = 3

// instead is what boots in the place of a release that is spent.
func (s State) instead() (version string, spent bool) {
	rest := s.Fallbacks(s.Current)
	if s.Releases[s.Current].Boots < attempts || len(rest) == 0 {
		return "", false
	}
	return rest[0], true
}

func (r *run) giveUp() error {
	s := r.v.State()
	version, spent := s.instead()
	if !spent {
		return nil
	}
	return r.v.Quarantine(s.Current, version, Failure{Reason: "test"})
}

func (r *run) settle() error {
	op := r.v.State().Operation
	switch {
	case op == nil:
		return nil
	case op.Phase == PhaseCommitted:
		return r.v.Finish()
	}
	var failure *Failure
	if op.Phase == "installing" || op.Phase == "probation" {
		failure = &Failure{Upgrade: op.ID, Reason: "the node or the container ended"}
	}
	if err := r.v.Abort(failure); err != nil {
		return err
	}
	if to, there := r.v.State().Releases[op.To]; there && to.Unborn() {
		return r.v.Remove(op.To)
	}
	return nil
}
