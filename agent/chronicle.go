package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"theseus/agent/api"
	"theseus/agent/proof"
	"theseus/volume"
)

// chronicle makes the report of each attempt (package proof). Events come to it as they are recorded. At some of them the
// attempt waits until a picture of the node is taken:
//
//	install.begun      before the node is touched, and kept: should the agent die, it tells what was there
//	node.installed     a relup is through
//	node.restarted     another incarnation runs
//	the result         at the end; it is kept
//
// An attempt that does not come to its installation has no more to tell than its events, which are in the history.
type chronicle struct {
	volume *volume.Volume
	log    *slog.Logger
	life   func() proof.Life

	mu     sync.Mutex
	record *proof.Record // of the attempt under way
}

// moments name the pictures.
var moments = map[string]string{"install.begun": "before", "node.installed": "installed", "node.restarted": "restarted"}

// note is told of every event, and waits for nothing.
func (c *chronicle) note(e api.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Upgrade != "" && (c.record == nil || c.record.ID() != e.Upgrade):
		if e.Result == nil { // else it is of one that died with the agent before
			c.record = proof.NewRecord(e)
		}
	case c.record != nil:
		c.record.Add(e)
	}
}

// attend is told of the events of an attempt, which waits for it.
func (c *chronicle) attend(ctx context.Context, e api.Event) {
	record := c.underWay()
	if record == nil || record.ID() != e.Upgrade {
		return
	}
	ended := e.Result != nil && e.Result.Outcome != api.Probation
	switch {
	case moments[e.Kind] != "":
		record.Look(ctx, moments[e.Kind], c.life())
	case e.Result != nil && record.Begun():
		record.Look(ctx, map[bool]string{true: "end", false: "probation"}[ended], c.life())
	}
	if record.Begun() && (e.Result != nil || e.Kind == "install.begun") {
		c.keep(record)
	}
	if ended {
		record.Close(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.record = nil
	}
}

func (c *chronicle) underWay() *proof.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.record
}

// keep stores what is known. That it cannot be kept is told, and is no reason to do anything else.
func (c *chronicle) keep(record *proof.Record) {
	content, err := json.Marshal(record.Report())
	if err == nil {
		err = c.volume.StoreReport(record.ID(), content)
	}
	if err != nil {
		c.log.Warn("the report of an upgrade is lost", "err", err)
	}
}

// life is the incarnation that is there.
func (a *agent) life() proof.Life {
	node, err := a.keeper.current()
	if err != nil {
		return proof.Life{}
	}
	return proof.Life{
		PID: node.process.Pid(), Since: node.since, Version: a.keeper.release(node).Version,
		Connect: func(ctx context.Context) (proof.Node, error) { return node.connect(ctx) },
	}
}

// Report is that of an attempt: under way, kept, or what the history has of it.
func (a *agent) Report(id string) (api.Report, error) {
	if record := a.chronicle.underWay(); record != nil && (id == record.ID() || id == api.LastReport) {
		return record.Report(), nil
	}
	var events []api.Event
	if id == api.LastReport {
		var err error
		if events, err = a.History(0); err != nil {
			return api.Report{}, err
		}
		if id = newest(events); id == "" {
			return api.Report{}, &api.Error{
				Code: api.CodeNoSuchUpgrade, Message: "cannot tell of the last upgrade: the history of this volume has none", Hint: "agent history lists what it has",
			}
		}
	}
	kept, err := a.keptReport(id)
	if err != nil || kept != nil && proof.Over(kept.Result) {
		return *kept, err
	}
	if events == nil {
		if events, err = a.History(0); err != nil {
			return api.Report{}, err
		}
	}
	report := proof.Fold(id, events, kept)
	if report == nil {
		return api.Report{}, &api.Error{
			Code: api.CodeNoSuchUpgrade, Message: fmt.Sprintf("cannot tell of upgrade %q: neither a report nor the history has it", id), Hint: "agent history lists them",
		}
	}
	return *report, nil
}

func newest(events []api.Event) string {
	id := ""
	for _, e := range events {
		if e.Upgrade != "" {
			id = e.Upgrade
		}
	}
	return id
}

// keptReport is nil where there is none.
func (a *agent) keptReport(id string) (*api.Report, error) {
	content, err := a.volume.Report(id)
	if errors.Is(err, volume.ErrNoReport) {
		return nil, nil
	}
	r := &api.Report{}
	if err == nil {
		err = json.Unmarshal(content, r)
	}
	if err != nil {
		return &api.Report{}, fmt.Errorf("cannot read the report of %s: %w", id, err)
	}
	return r, nil
}
