// Package notify speaks sd_notify(3) in both directions: to the service manager that started the agent (systemd, podman),
// which hears when the node is ready, upgraded and stopping, and that it is alive (notifier.go, watchdog.go); and with the
// node, which may tell the agent the same over a socket of its own (node.go).
//
// What must not be missed, readiness and its changes, follows from the journal's events (phase.go). What is only shown is
// looked up when there may be something new.
package notify

import (
	"context"
	"sync"
	"time"

	"theseus/agent/api"
)

const (
	statusEvery = 100 * time.Millisecond // at most so often; also how long after an event its effect may show
	extendEvery = time.Second            // while something takes its time
	extendBy    = 10 * time.Second       // an agent that is stuck is given up after that
	idle        = time.Hour              // until somebody kicks
)

// View is what the agent is doing.
type View struct {
	Status string        // one line of it
	Left   time.Duration // that the boot, the upgrade or the stop under way may still take; 0 where there is none
}

// Notifier tells a service manager what the agent is doing.
type Notifier struct {
	manager *Manager
	look    func() View

	mu    sync.Mutex
	phase phase
	next  []string // messages, in order
	stir  bool     // something has happened
	kick  chan struct{}

	status   string // that was told last
	statusAt time.Time
	extended time.Time
}

// NewNotifier makes one; look is called by Run alone.
func NewNotifier(m *Manager, look func() View) *Notifier {
	return &Notifier{manager: m, look: look, kick: make(chan struct{}, 1)}
}

// Record hears of an event. It never waits.
func (n *Notifier) Record(e api.Event) {
	if !n.manager.there() {
		return
	}
	n.change(func() string { return n.phase.follow(e) })
}

// Stir is for what is new to be shown, and no event tells. It never waits.
func (n *Notifier) Stir() {
	if n.manager.there() {
		n.change(func() string { return "" })
	}
}

func (n *Notifier) change(message func() string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := message(); m != "" {
		n.next = append(n.next, m)
	}
	n.stir = true
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// take is what has been waiting.
func (n *Notifier) take() (messages []string, stir bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	messages, stir = n.next, n.stir
	n.next, n.stir = nil, false
	return messages, stir
}

// Run tells the manager until life ends; when stop does, that the service stops.
func (n *Notifier) Run(life, stop context.Context) {
	if !n.manager.there() {
		return
	}
	again := time.NewTimer(0)
	defer again.Stop()
	for told := stop.Done(); ; {
		select {
		case <-n.kick:
		case <-again.C:
		case <-told:
			told = nil
			n.change(n.phase.stop)
		case <-life.Done():
			n.change(n.phase.stop) // both may be done
			n.round()
			return
		}
		again.Reset(n.round())
	}
}

// round tells what there is to tell, and says when to look again. The status precedes the message that it explains.
func (n *Notifier) round() time.Duration {
	messages, stir := n.take()
	view := n.look()
	now := time.Now()
	if view.Left > 0 && now.Sub(n.extended) >= extendEvery {
		n.extended = now
		n.manager.send(extend(min(view.Left, extendBy)))
	}
	if view.Status != n.status && (len(messages) > 0 || now.Sub(n.statusAt) >= statusEvery) {
		n.status, n.statusAt = view.Status, now
		n.manager.send("STATUS=" + view.Status)
	}
	for _, m := range messages {
		n.manager.send(m)
	}
	switch {
	case stir || view.Status != n.status:
		return statusEvery
	case view.Left > 0:
		return extendEvery
	}
	return idle
}
