package proof

import (
	"context"
	"os"
	"time"

	"theseus/agent/api"
	"theseus/signals"
)

// Life is the incarnation of the node that a picture is taken of. Its zero value is none.
type Life struct {
	PID     int
	Since   time.Time
	Version string
	Connect func(context.Context) (Node, error)
}

// Look takes a picture. The attempt waits for it, so a node that has not answered in time is not asked again: it only has
// fewer fields. The first look at an incarnation puts a witness there.
func (r *Record) Look(ctx context.Context, moment string, life Life) {
	p := api.Picture{Time: time.Now(), Moment: moment, Version: life.Version, PID: life.PID}
	p.AgentRSS = known(signals.Resident(os.Getpid()))
	if life.PID != 0 {
		p.Up = p.Time.Sub(life.Since)
		p.RSS = known(signals.Resident(life.PID))
		r.count(&p)
		r.ask(ctx, &p, life)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Pictures = append(r.report.Pictures, p)
}

// last is the picture before.
func (r *Record) last() api.Picture {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.report.Pictures); n > 0 {
		return r.report.Pictures[n-1]
	}
	return api.Picture{}
}

// count looks at the connections from outside of the node, so that it costs nothing there.
func (r *Record) count(p *api.Picture) {
	sockets, err := established(p.PID)
	if err != nil {
		r.sockets = nil
		return
	}
	p.Connections = known(int64(len(sockets)), nil)
	if before := r.last(); before.PID == p.PID && before.Connections != nil {
		closed, opened := difference(r.sockets, sockets)
		p.Closed, p.Opened = &closed, &opened
	}
	r.sockets = sockets
}

// ask has the witness tell what it knows.
func (r *Record) ask(ctx context.Context, p *api.Picture, life Life) {
	l, err := r.hear(ctx, life, r.last().PID != life.PID)
	if err != nil {
		r.witness = nil
		return
	}
	p.Memory, p.Processes, p.Ports = &l.Memory, &l.Processes, &l.Ports
	p.OldCode, p.Unread = l.OldCode, l.Unread
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := after(r.before, l.seen())
	r.report.Seen = &seen
}

func (r *Record) hear(ctx context.Context, life Life, first bool) (l look, err error) {
	switch {
	case !first && r.witness == nil:
		return l, errSilent
	case !first:
		return r.witness.look(ctx)
	}
	if r.report.Seen != nil {
		r.before = *r.report.Seen
	}
	node, err := life.Connect(ctx)
	if err != nil {
		return l, err
	}
	r.witness, l, err = watch(ctx, node)
	return l, err
}

// Close takes the witness out of the node.
func (r *Record) Close(ctx context.Context) {
	if r.witness != nil {
		r.witness.leave(ctx)
	}
}

func known(n int64, err error) *int64 {
	if err != nil {
		return nil
	}
	return &n
}
