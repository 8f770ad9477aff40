package rehearse

import (
	"context"
	"strings"
	"time"

	"theseus/agent/drift"
)

const (
	ripening = 10 * time.Second       // for a node to become what it is to be
	glance   = 300 * time.Millisecond // between two pictures
)

// fresh is what a release is when it was booted, and in what that is another one each time.
type fresh struct {
	*Release
	path     string // of its package
	known    bool   // it has been booted
	snapshot drift.Snapshot
	restless map[subject]bool
	said     map[Probe]string // by the probes, where that is the same each time
}

type subject struct{ kind, name string }

// without leaves out what is never the same.
func (f *fresh) without(all []drift.Difference) (left []drift.Difference) {
	for _, d := range all {
		if !f.restless[subject{d.Kind, d.Subject}] {
			left = append(left, d)
		}
	}
	return left
}

func (t *trial) picture(ctx context.Context) (drift.Snapshot, error) {
	s, err := drift.Take(ctx, t.client)
	if err != nil {
		return s, t.lost(err)
	}
	return s, nil
}

// steady is the picture of a node that has done what it does after its boot: two in a row are alike, or the time is up.
func (t *trial) steady(ctx context.Context) (drift.Snapshot, error) {
	before, err := t.picture(ctx)
	for deadline := time.Now().Add(ripening); err == nil; {
		if err = pause(ctx, glance); err != nil {
			break
		}
		var now drift.Snapshot
		now, err = t.picture(ctx)
		if err == nil && (len(drift.Compare(before, now)) == 0 || time.Now().After(deadline)) {
			return now, nil
		}
		before = now
	}
	return before, err
}

// compare puts into an act in what the node is not as a fresh boot is. What is only late is none of that.
func (t *trial) compare(ctx context.Context, a *Act, want *fresh) error {
	if !want.known {
		a.note("not compared: there is no fresh boot to compare with")
		return nil
	}
	var left []drift.Difference
	for deadline := time.Now().Add(ripening / 2); ; {
		got, err := t.picture(ctx)
		if err != nil {
			return err
		}
		left = want.without(drift.Compare(want.snapshot, got))
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
		if err := pause(ctx, glance); err != nil {
			return err
		}
	}
	for _, d := range left {
		a.Findings = append(a.Findings, Finding{Kind: d.Kind, Subject: d.Subject, Want: d.Want, Got: d.Got, Text: strings.TrimPrefix(d.String(), d.Kind+" ")})
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
