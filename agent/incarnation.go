package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"theseus/agent/drift"
	"theseus/agent/family"
	"theseus/agent/heart"
	"theseus/agent/notify"
	"theseus/agent/upgrade"
	"theseus/rpc"
	"theseus/signals"
	"theseus/volume"
)

const bootPoll = 50 * time.Millisecond

// incarnation is one life of the node, from its launch to the end of its process.
type incarnation struct {
	id      string
	target  rpc.Target
	reach   family.Node
	process *signals.Process
	heart   *heart.Heart
	since   time.Time
	dump    string // where it writes a crash dump
	notices *notify.Node
	booted  string // the version whose own boot this was; empty for that of a hybrid release
	start   upgrade.Start

	// Guarded by the keeper's lock.
	version  string // of what it runs now
	release  volume.Release
	installs int // that changed what it runs
	up, down bool
	dumped   bool // a crash dump was asked for

	mu   sync.Mutex
	conn *rpc.Node
}

func newIncarnation(release volume.Release, l launch) *incarnation {
	return &incarnation{id: rand.Text(), target: l.target, reach: l.reach, since: time.Now(), version: release.Version, release: release}
}

// marker is in the environment of the node and of all that it starts, so that what it leaves can be found.
func (n *incarnation) marker() string { return heart.Variable + "=" + n.id }

// Ended is closed when the process has ended.
func (n *incarnation) Ended() <-chan struct{} { return n.process.Done() }

func (n *incarnation) ended() bool {
	select {
	case <-n.Ended():
		return true
	default:
		return false
	}
}

// Handler is the connection to the node's release_handler.
func (n *incarnation) Handler(ctx context.Context) (upgrade.Handler, error) { return n.connect(ctx) }

// connect returns the connection, made anew where it was lost.
func (n *incarnation) connect(ctx context.Context) (*rpc.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil && n.conn.Connected() {
		return n.conn, nil
	}
	if n.ended() {
		return nil, errors.New("the node has ended")
	}
	if n.conn != nil {
		n.conn.Close()
		n.conn = nil
	}
	conn, err := rpc.Connect(ctx, n.target)
	if err != nil {
		return nil, err
	}
	n.conn = conn
	return conn, nil
}

func (n *incarnation) disconnect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != nil {
		n.conn.Close()
		n.conn = nil
	}
}

// awaitUp returns when all applications of a release run. The error says what was missing at the end.
func (n *incarnation) awaitUp(ctx context.Context, release volume.Release) error {
	poll := time.NewTicker(bootPoll)
	defer poll.Stop()
	for {
		err := n.isUp(ctx, release)
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-n.Ended():
			return errors.New("the node ended while it booted")
		case <-ctx.Done():
			return err
		}
	}
}

// isUp asks the node. init:get_status alone is not enough: it says started a moment after an application
// has failed, too.
func (n *incarnation) isUp(ctx context.Context, release volume.Release) error {
	conn, err := n.connect(ctx)
	if err != nil {
		return err
	}
	internal, _, err := conn.InitStatus(ctx)
	if err != nil {
		return err
	}
	if internal != "started" {
		return fmt.Errorf("it is %s", internal)
	}
	running, err := conn.Applications(ctx)
	if err != nil {
		return err
	}
	if err := drift.Mismatch(drift.Applications(running, release)); err != nil {
		return err
	}
	if !n.notices.Ready() {
		return errors.New("it has not said READY=1 on its notify socket")
	}
	return nil
}
