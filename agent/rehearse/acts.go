package rehearse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
)

// play goes through all acts. What is found is in their results; an error ends it.
func (s *stage) play(ctx context.Context) error {
	if err := s.act(ctx, "boot-old", func(ctx context.Context, a *Act) error { return s.boots(ctx, a, s.old) }); err != nil {
		return err
	}
	if !s.old.known {
		return fmt.Errorf("cannot rehearse an upgrade from %s: it does not run here", s.old)
	}
	if err := s.act(ctx, "boot-new", func(ctx context.Context, a *Act) error { return s.boots(ctx, a, s.new) }); err != nil {
		return err
	}
	gone, err := s.thereAndBack(ctx)
	if err != nil || s.Quick || !gone {
		return err
	}
	return s.kills(ctx)
}

// act does one of them in its time. An error of what is done ends the rehearsal, unless it is the node's, or that the time was up.
func (s *stage) act(ctx context.Context, name string, do func(context.Context, *Act) error) error {
	begun := time.Now()
	a := &Act{Name: name}
	within, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	err := do(within, a)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		a.find(TimedOut, "", "it is not over after %s", s.Patience)
		err = nil
	}
	if failed := (*nodeError)(nil); errors.As(err, &failed) && ctx.Err() == nil {
		a.find(failed.kind, "", "%v", failed)
		err = nil
	}
	a.close(time.Since(begun))
	if err == nil || len(a.Findings) > 0 {
		s.over(*a)
	}
	return err
}

func (s *stage) over(a Act) {
	s.report.Acts = append(s.report.Acts, a)
	s.Tell(a)
}

// on has something done with a volume of its own.
func (s *stage) on(ctx context.Context, seed string, do func(*trial) error) (err error) {
	t, err := s.newTrial(seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end(ctx)) }()
	return do(t)
}

// boots boots a release twice, to see what it is and what is another one each time.
func (s *stage) boots(ctx context.Context, a *Act, f *fresh) error {
	return s.on(ctx, f.path, func(t *trial) error {
		var pictures [2]drift.Snapshot
		var said [2]map[Probe]string
		for i := range pictures {
			status, err := t.boot(ctx)
			if err != nil {
				return err
			}
			f.Name, f.Version = status.Release.Name, status.Release.Version
			if err := pause(ctx, t.settled()); err != nil {
				return err
			}
			if pictures[i], err = t.steady(ctx); err != nil {
				return err
			}
			said[i] = t.probe(ctx, a, "after the boot")
			if err := s.hear(a, t, true); err != nil {
				return err
			}
			t.stop(ctx)
		}
		f.known, f.snapshot, f.restless = true, pictures[1], map[subject]bool{}
		for _, d := range drift.Compare(pictures[0], pictures[1]) {
			f.restless[subject{d.Kind, d.Subject}] = true
			a.note("another one at each boot: %s", d)
		}
		maps.DeleteFunc(said[1], func(p Probe, text string) bool { first, there := said[0][p]; return !there || first != text })
		f.said = said[1]
		return nil
	})
}

// thereAndBack is the way without mishaps. It says whether the upgrade went through.
func (s *stage) thereAndBack(ctx context.Context) (gone bool, err error) {
	err = s.on(ctx, s.Old, func(t *trial) error {
		err := s.act(ctx, "upgrade", func(ctx context.Context, a *Act) (err error) {
			if _, err = t.boot(ctx); err == nil {
				gone, err = t.take(ctx, a, t.upgrade(s.noteStep))
			}
			return err
		})
		if err != nil || !gone {
			return s.skip(err, "the upgrade did not go through", "rollback", "upgrade-again")
		}
		back, err := s.back(ctx, t)
		if err != nil || !back {
			return s.skip(err, "the rollback did not go through", "upgrade-again")
		}
		return s.act(ctx, "upgrade-again", func(ctx context.Context, a *Act) error {
			_, err := t.take(ctx, a, t.upgrade(func(api.Event) {}))
			return err
		})
	})
	return gone, err
}

// skip is for acts that cannot be, unless that is for an error.
func (s *stage) skip(err error, why string, names ...string) error {
	if err != nil {
		return err
	}
	for _, name := range names {
		s.over(Act{Name: name, Outcome: Skipped, Why: why})
	}
	return nil
}

// noteStep keeps what the agent tells of in an upgrade, each once.
func (s *stage) noteStep(e api.Event) {
	if !slices.Contains(s.steps, e.Kind) && isStep(e.Kind) {
		s.steps = append(s.steps, e.Kind)
	}
}

// isStep leaves out what the next upgrade may not tell of: a difference of the node, or what a gate has seen, is of the moment.
func isStep(kind string) bool {
	return kind != api.KindProgress && kind != "node.drifted" && !strings.HasSuffix(kind, ".warned") && !strings.HasPrefix(kind, "gate.")
}

// back is the way back, in service or by a restart.
func (s *stage) back(ctx context.Context, t *trial) (gone bool, err error) {
	only := false
	err = s.act(ctx, "rollback", func(ctx context.Context, a *Act) (err error) {
		gone, err = t.take(ctx, a, t.rollback(false))
		only = a.Outcome == Skipped
		return err
	})
	if err != nil || !only {
		return gone, err
	}
	err = s.act(ctx, "rollback-by-restart", func(ctx context.Context, a *Act) (err error) {
		gone, err = t.take(ctx, a, t.rollback(true))
		return err
	})
	return gone, err
}
