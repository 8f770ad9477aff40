package rehearse

import (
	"context"
	"errors"

	"theseus/agent/api"
)

// victim is what is killed, with KILL.
type victim struct {
	name string
	kill func(context.Context, *trial) error
}

var victims = []victim{
	{"node", func(ctx context.Context, t *trial) error {
		status, err := t.client.Status(ctx)
		if err != nil || status.Node.PID == 0 { // there is none to kill, or it is gone already
			return err
		}
		return t.killNode(status.Node.PID)
	}},
	{"container", func(ctx context.Context, t *trial) error { t.kill(ctx); return nil }},
}

// committed is the last step. Its event ends the stream.
const committed = "upgrade.committed"

// kills begin with a new volume each.
func (s *stage) kills(ctx context.Context) error {
	for _, step := range append(s.steps, committed) {
		for _, v := range victims {
			err := s.act(ctx, "kill-"+v.name+" at "+step, func(ctx context.Context, a *Act) error {
				return s.on(ctx, s.Old, func(t *trial) error { return t.hit(ctx, a, v, step) })
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// hit kills in the middle of an upgrade. What boots after it has to be one of the two releases, as a fresh boot has it, and to let
// itself be upgraded.
func (t *trial) hit(ctx context.Context, a *Act, v victim, step string) error {
	before, err := t.boot(ctx)
	if err != nil {
		return err
	}
	var killed error
	struck := false
	strike := func() { struck, killed = true, v.kill(ctx, t) }
	result, err := t.send(ctx, func(e api.Event) {
		if e.Kind == step && !struck {
			strike()
		}
	})
	if !struck {
		a.noteLate(v, step)
		strike()
	}
	if err := errors.Join(killed, ctx.Err()); err != nil {
		return err
	}
	promised := err == nil && result.Outcome == api.Committed
	status, err := t.recovered(ctx, before.Node.PID)
	if err != nil {
		return err
	}
	return t.afterHit(ctx, a, status.Release.Version, promised)
}

// noteLate says that what the act is named for was not tried. The last step is not told of but by the result, and so always is late.
func (a *Act) noteLate(v victim, step string) {
	if step != committed {
		a.note("the agent did not tell of %s this time: the %s was killed after the upgrade, and not at this step", step, v.name)
	}
}

func (t *trial) afterHit(ctx context.Context, a *Act, version string, promised bool) error {
	t.probe(ctx, a, "after the boot")
	a.note("%s boots", version)
	switch {
	case version == t.new.Version:
		return t.compare(ctx, a, t.new)
	case version != t.old.Version:
		a.find(WrongRelease, version, "%s boots, and is neither %s nor %s", version, t.old, t.new)
		return nil
	case promised:
		a.find(WrongRelease, version, "%s boots, though the upgrade was said to be committed", version)
	}
	if err := t.compare(ctx, a, t.old); err != nil {
		return err
	}
	_, err := t.take(ctx, a, t.upgrade(func(api.Event) {}))
	return err
}
