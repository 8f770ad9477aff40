package notify

import "theseus/agent/api"

// Kinds of the events that a service manager hears of.
const (
	started = "node.started"
	ended   = "node.ended"
	begun   = "install.begun"
)

// phase is what the service manager believes:
//
//	starting ── node.started ──▶ ready ── install.begun ──▶ reloading ── the upgrade's result, and the node runs ──▶ ready
//	    └───────────────────────────┴──────────── the agent was told to stop ───┴──▶ stopping
//
// A node that ends and is launched again changes nothing: there is no message for that but STATUS.
type phase struct {
	running   bool // the node is
	ready     bool
	reloading bool
	stopping  bool
}

// follow is what an event has the manager told, or nothing.
func (p *phase) follow(e api.Event) string {
	switch {
	case e.Kind == started:
		p.running = true
	case e.Kind == ended:
		p.running = false
	case e.Kind == begun:
		return p.reload()
	case e.Result != nil:
		p.reloading = false
	}
	if p.ready || p.reloading || p.stopping || !p.running {
		return ""
	}
	p.ready = true
	return ready
}

func (p *phase) reload() string {
	if p.stopping || p.reloading {
		return ""
	}
	p.reloading, p.ready = true, false
	return reload()
}

// stop is told once.
func (p *phase) stop() string {
	if p.stopping {
		return ""
	}
	p.stopping = true
	return stopping
}
