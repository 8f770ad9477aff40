package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/upgrade"
	"theseus/signals"
	"theseus/volume"
)

const (
	termResend = 300 * time.Millisecond // TERM is swallowed for most of a BEAM's boot
	sweepTime  = time.Second            // for the port programs that a dead node left, before they are killed
)

// keeper keeps the node: it launches it, says what it is doing, and decides what follows when it ends.
//
//	the node ends         because it was told to stop     the agent ends with its status
//	                      because of restart or protect   the release named there is booted
//	                      unasked                         the agent ends with its status, and says so
type keeper struct {
	config  Config
	environ []string
	volume  *volume.Volume
	init    *signals.Init
	journal *journal

	mu       sync.Mutex
	node     *incarnation
	protect  string        // boots when the node ends unasked
	next     string        // boots when the node has ended, as restart asked
	stopping bool          // the agent ends with the node
	changed  chan struct{} // closed and replaced whenever something above changes
}

func newKeeper(c Config, environ []string, v *volume.Volume, init *signals.Init, j *journal) *keeper {
	return &keeper{config: c, environ: environ, volume: v, init: init, journal: j, changed: make(chan struct{})}
}

// run keeps the node until ctx is done or the node ends and nothing is to follow it. It returns the status
// that the agent ends with.
func (k *keeper) run(ctx context.Context, version string) (int, error) {
	for ctx.Err() == nil {
		node, err := k.launch(version)
		if err != nil {
			return 1, err
		}
		exit := k.live(ctx, node)
		k.sweep(ctx, node)
		name, ran := k.runs(node)
		next, why := k.follow(ctx)
		k.journal.note("node.ended", fmt.Sprintf("the node of %s %s ended: %s; %s", name, ran, exit, why),
			map[string]any{"version": ran, "status": exit.Status()})
		if next == "" {
			return exit.Status(), nil
		}
		version = next
	}
	return 0, nil // told to stop while there was no node
}

// sweep ends the port programs that the node left, so that the next one finds its ports and files free.
func (k *keeper) sweep(ctx context.Context, node *incarnation) {
	brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	if n := k.init.Sweep(brief, node.marker()); n > 0 {
		k.journal.note("node.swept", fmt.Sprintf("what the node left was ended, processes: %d", n), nil)
	}
}

// launch starts the process of one incarnation. The release_handler's files are derived anew before it.
func (k *keeper) launch(version string) (*incarnation, error) {
	release, ok := k.volume.State().Releases[version]
	if !ok {
		return nil, fmt.Errorf("cannot boot %s: it is not on the volume", version)
	}
	if err := k.volume.Derive(version); err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	l, err := newLaunch(k.config, k.volume, release, k.environ)
	if err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	node := newIncarnation(release, l.target)
	l.command.Env = append(l.command.Env, node.marker())
	node.process, err = k.init.Start(l.command)
	if err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	k.update(func() { k.node, k.next = node, "" }) // a restart that was asked for meanwhile has happened
	k.journal.note("node.launched", fmt.Sprintf("%s %s boots as %s, pid %d", release.Name, version, l.target.Node, node.process.Pid()),
		map[string]any{"version": version, "pid": node.process.Pid(), "address": l.target.Addr})
	return node, nil
}

// live follows one incarnation to its end, which it brings about when ctx is done.
func (k *keeper) live(ctx context.Context, node *incarnation) signals.Exit {
	booting, cancel := context.WithCancel(ctx)
	var boot sync.WaitGroup
	boot.Go(func() { k.awaitBoot(booting, node) })
	select {
	case <-node.Ended():
	case <-ctx.Done():
		k.update(func() { k.stopping = true })
		k.end(node)
	}
	cancel()
	boot.Wait()
	node.disconnect()
	k.update(func() { node.down = true })
	return node.process.Exit()
}

// awaitBoot tells when the node is up. A node that is late is reported, and goes on.
func (k *keeper) awaitBoot(ctx context.Context, node *incarnation) {
	late, cancel := context.WithTimeout(ctx, k.config.BootTimeout)
	defer cancel()
	err := node.awaitUp(late)
	if err != nil && ctx.Err() == nil && !node.ended() {
		k.journal.note("node.late", fmt.Sprintf("%s %s is not up after %s: %v", node.release.Name, node.version, k.config.BootTimeout, err), nil)
		err = node.awaitUp(ctx)
	}
	if err != nil {
		return
	}
	k.update(func() { node.up = true })
	k.journal.note("node.started", fmt.Sprintf("%s %s runs, %s after its launch", node.release.Name, node.version,
		time.Since(node.since).Round(time.Millisecond)), map[string]any{"version": node.version, "ms": time.Since(node.since).Milliseconds()})
}

// end asks the node to stop, and kills it when the budget is spent.
func (k *keeper) end(node *incarnation) {
	node.process.Stop(context.Background(), termResend, k.config.StopTimeout)
}

// follow decides what is booted after an end; nothing when the agent is to end as well.
func (k *keeper) follow(ctx context.Context) (version, why string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next, protect := k.next, k.protect
	k.next = ""
	switch {
	case ctx.Err() != nil:
		return "", "the agent was told to stop"
	case next != "":
		return next, "it is restarted into " + next
	case protect != "":
		if op := k.volume.State().Operation; op != nil && op.Phase == volume.PhaseCommitted {
			return op.To, "the upgrade is committed, so " + op.To + " is booted"
		}
		return protect, "an upgrade was under way, so " + protect + " is booted"
	}
	return "", "nobody asked for it, so the agent ends with its status"
}

// runs is what an incarnation runs, or ran last.
func (k *keeper) runs(node *incarnation) (name, version string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return node.release.Name, node.version
}

// update changes what others wait for.
func (k *keeper) update(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.changed)
	k.changed = make(chan struct{})
}

// wait returns when the condition holds, which is evaluated under the lock.
func (k *keeper) wait(ctx context.Context, condition func() (bool, error)) error {
	for {
		k.mu.Lock()
		done, err := condition()
		changed := k.changed
		k.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errStopping = errors.New("the agent is about to stop")

// Running is the incarnation that is up.
func (k *keeper) Running() (upgrade.Incarnation, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if state := k.state(); state != api.NodeRunning {
		return nil, "", fmt.Errorf("the node is %s", state)
	}
	return k.node, k.node.version, nil
}

// Upgraded notes which version an incarnation runs now. It may have ended, and the next one runs another.
func (k *keeper) Upgraded(node upgrade.Incarnation, version string) {
	release := k.volume.State().Releases[version]
	k.update(func() {
		n := node.(*incarnation)
		n.version, n.release = version, release
	})
}

// Protect names what boots when the node ends unasked.
func (k *keeper) Protect(version string) { k.update(func() { k.protect = version }) }

// Restart ends the node and boots version.
func (k *keeper) Restart(ctx context.Context, version string) error {
	var old *incarnation
	k.update(func() { old, k.next = k.node, version })
	k.end(old)
	return k.Await(ctx, old)
}

// Await returns when an incarnation other than old is up.
func (k *keeper) Await(ctx context.Context, old upgrade.Incarnation) error {
	return k.wait(ctx, func() (bool, error) {
		switch {
		case k.stopping:
			return false, errStopping
		case k.node == old.(*incarnation):
			return false, nil
		case k.node.down:
			return false, fmt.Errorf("the node of %s ended while it booted", k.node.version)
		}
		return k.node.up, nil
	})
}

// state is what the node is doing. The caller holds the lock.
func (k *keeper) state() string {
	switch {
	case k.node == nil || k.node.down:
		return api.NodeDown
	case k.stopping || k.next != "":
		return api.NodeStopping
	case k.node.up:
		return api.NodeRunning
	}
	return api.NodeBooting
}

// snapshot is the node and its release as status shows them.
func (k *keeper) snapshot() (api.Node, volume.Release) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := api.Node{State: k.state()}
	if k.node == nil {
		return n, volume.Release{}
	}
	n.Name, n.Since = k.node.target.Node, k.node.since
	if !k.node.down {
		n.PID = k.node.process.Pid()
	}
	return n, k.node.release
}

// current is the incarnation that runs or boots, for requests that any of them can answer.
func (k *keeper) current() (*incarnation, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.node == nil || k.node.down {
		return nil, errors.New("the node is down")
	}
	return k.node, nil
}
