package rehearse

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"theseus/agent/api"
)

// way is one from a release to the other, as an operator asks for it.
type way struct {
	from, to *fresh
	ask      func(context.Context) (api.Result, error)
	judge    func(*Act, api.Result)
}

// upgrade is the way to the new release. on hears the steps that the agent tells of.
func (t *trial) upgrade(on func(api.Event)) way {
	return way{t.old, t.new, func(ctx context.Context) (api.Result, error) { return t.send(ctx, on) }, judgeUpgrade}
}

// send sends the package of the new release.
func (t *trial) send(ctx context.Context, on func(api.Event)) (api.Result, error) {
	pkg, err := os.Open(t.New)
	if err != nil {
		return api.Result{}, fmt.Errorf("cannot read the package: %w", err)
	}
	defer pkg.Close()
	settle := t.settled()
	req := api.UpgradeRequest{Name: t.new.String(), Derived: t.Derived, Restart: t.Restart, AllowDowngrade: true, Settle: &settle}
	if info, err := pkg.Stat(); err == nil {
		req.Size = info.Size()
	}
	return t.client.Upgrade(ctx, req, pkg, on)
}

func judgeUpgrade(a *Act, r api.Result) {
	if r.Outcome == api.Refused {
		a.blame(UpgradeRefused, r)
		return
	}
	a.blame(UpgradeFailed, r)
}

// rollback is the way back; only some may restart the node.
func (t *trial) rollback(restart bool) way {
	ask := func(ctx context.Context) (api.Result, error) {
		return t.client.Rollback(ctx, api.RollbackRequest{Restart: restart}, func(api.Event) {})
	}
	return way{t.new, t.old, ask, func(a *Act, r api.Result) {
		if r.Outcome == api.Refused && leadsByRestart(r.Error) && !restart {
			a.Outcome, a.Why = Skipped, r.Error.Message
			return
		}
		a.blame(RollbackFailed, r)
	}}
}

// leadsByRestart is true of a refusal for want of a relup.
func leadsByRestart(e *api.Error) bool {
	return e != nil && (e.Code == api.CodeNeedsRestart || e.Code == api.CodeNoRelup)
}

// blame finds fault with what did not go through.
func (a *Act) blame(kind string, r api.Result) {
	for _, warning := range r.Warnings {
		a.note("%s", warning)
	}
	if len(r.Via) > 0 {
		a.note("the way leads over %s", strings.Join(r.Via, ", "))
	}
	if r.Restart {
		a.note("the node was restarted")
	}
	if r.Outcome != api.Committed && r.Error != nil {
		a.fault(kind, r.Error)
	}
}

func (a *Act) fault(kind string, e *api.Error) {
	text := e.Error()
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	a.find(kind, e.Code, "%s", text)
}

// take goes the way under load, and compares the node at its end. What did not lead there has to have left it as one of the
// release before.
func (t *trial) take(ctx context.Context, a *Act, w way) (arrived bool, err error) {
	if err := t.reports.skip(); err != nil {
		return false, err
	}
	load, err := t.startLoad(ctx, a)
	if err != nil {
		return false, err
	}
	at, err := t.walk(ctx, a, w)
	load.endLoad(ctx, a)
	if err != nil || at == nil {
		return false, err
	}
	return at == w.to, errors.Join(t.hear(a, t, false), t.compare(ctx, a, at))
}

// walk is the way between its probes, and says which release runs then: nil where that is not known.
func (t *trial) walk(ctx context.Context, a *Act, w way) (at *fresh, err error) {
	before := t.probe(ctx, a, "before")
	result, err := w.ask(ctx)
	if err != nil {
		return nil, a.lost(ctx, err)
	}
	w.judge(a, result)
	at = w.from
	if result.Outcome == api.Committed {
		at = w.to
	}
	if result.Restart || result.Running == "" {
		if _, err := t.recovered(ctx, 0); err != nil {
			return at, err
		}
	}
	after := t.probe(ctx, a, "after")
	if !result.Restart {
		t.compareProbes(a, before, after, w.from, at)
	}
	return at, nil
}

// lost is an answer that never came, though there was time for it.
func (a *Act) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var refused *api.Error
	if errors.As(err, &refused) {
		a.fault(UpgradeFailed, refused)
		return nil
	}
	a.find(UpgradeFailed, "", "%v", err)
	return nil
}
