package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/heart"
	"theseus/agent/upgrade"
	"theseus/signals"
	"theseus/volume"
)

// keeper keeps the node: it launches it, says what it is doing, and when it ends does what the policy has for that
// (policy.go). How it is told to stop is in stopping.go.
type keeper struct {
	config  Config
	environ []string
	volume  *volume.Volume
	init    *signals.Init
	journal *journal
	dumps   dumps
	grace   context.Context    // of the node that is told to stop: done when its time is up early
	hurry   context.CancelFunc // ends grace
	steps   steps

	// giveUp puts what is permanent into quarantine when it is spent, and says for which reason another one boots then; why
	// is how its last boot ended. May be nil.
	giveUp func(ctx context.Context, why string) (reason string)
	// booted is told what was launched after the first node, and why. May be nil.
	booted func(version, reason string)

	mu       sync.Mutex
	node     *incarnation
	protect  string // boots when the node ends unasked
	resting  bool   // nothing is done to the node, though it is protected
	expect   string // boots on trial when the node ends and asks for it
	next     string // boots when the node has ended, as restart asked
	failed   failedBoot
	gaveWay  standIn
	stopping bool          // the agent ends with the node
	deadline time.Time     // of the node that is told to stop
	restarts api.Restarts  // of the node, by anybody
	row      int           // restarts by the policy, in a row
	first    string        // crash dump of that row
	changed  chan struct{} // closed and replaced whenever something above changes
	pulse    chan struct{} // its loop offers this, unless it is stuck
}

func newKeeper(c Config, environ []string, v *volume.Volume, init *signals.Init, j *journal) *keeper {
	grace, hurry := context.WithCancel(context.Background())
	return &keeper{
		config: c, environ: environ, volume: v, init: init, journal: j, changed: make(chan struct{}), pulse: make(chan struct{}),
		dumps: dumps{dir: v.Path("log")}, grace: grace, hurry: hurry, steps: defaultSteps,
	}
}

// run keeps the node until ctx is done or the node ends and nothing is to follow it. It returns the status
// that the agent ends with.
func (k *keeper) run(ctx context.Context, version string) (int, error) {
	defer k.hurry()
	k.update(func() { k.gaveWay = standIn{unusable: k.volume.State().Current, version: version} })
	next := ruling{version: version}
	for ctx.Err() == nil {
		node, err := k.launch(ctx, next)
		if ctx.Err() != nil && node == nil {
			break
		}
		if err != nil {
			if next = k.instead(ctx, next.version, err); next.version == "" {
				return 1, err
			}
			continue
		}
		end := k.live(ctx, node)
		k.sweep(ctx, node)
		next = k.follow(ctx, node, end)
		if next.action == endAgent {
			return end.exit.Status(), nil
		}
		k.pause(ctx, next.delay)
		next = k.asked(next)
	}
	return 0, nil // told to stop while there was no node
}

// asked is what is launched: what was decided, unless somebody has asked for something else since.
func (k *keeper) asked(r ruling) ruling {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next != "" {
		r = ruling{action: bootNow, version: k.next, reason: askedFor}
	}
	return r
}

// launch starts the process of one incarnation, unless the agent was told to stop meanwhile. The release_handler's files
// are derived anew before it, unless it made them itself for just this boot.
func (k *keeper) launch(ctx context.Context, r ruling) (*incarnation, error) {
	version := r.version
	release, ok := k.volume.State().Releases[version]
	if !ok {
		return nil, fmt.Errorf("cannot boot %s: it is not on the volume", version)
	}
	if r.script == "" {
		if err := k.volume.Derive(version); err != nil {
			return nil, fmt.Errorf("cannot boot %s: %w", version, err)
		}
	}
	k.countBoot(version) // a configuration that cannot be resolved is a boot that failed
	var environ []string
	var err error
	k.meanwhile(ctx, func() { environ, err = k.configure(ctx, version) }) // which may have a script and a VM run
	if err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	dump, environ := k.dumpInto(environ)
	l, err := newLaunch(k.config, k.volume, boot{release, r.script}, environ)
	if err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	node := newIncarnation(release, l)
	node.dump = dump
	if node.start, err = upgrade.ReadStart(k.volume.ReleaseDir(version), "vm.args"); err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	if r.script == "" || r.script == version {
		node.booted = version
	}
	if ctx.Err() != nil {
		return nil, errStopping
	}
	if err := k.start(node, l); err != nil {
		return nil, fmt.Errorf("cannot boot %s: %w", version, err)
	}
	k.placeCommand(node, release)
	k.update(func() { // a restart that was asked for meanwhile has happened, though maybe into another release
		k.node, k.next = node, ""
		if !strings.HasPrefix(r.script, volume.HybridPrefix) { // in which a relup may restart the emulator once more
			k.expect = ""
		}
		k.gaveWay = k.gaveWay.since(version)
	})
	attrs := map[string]any{"version": version, "pid": node.process.Pid(), "address": l.target.Addr}
	if l.target.Epmd != "" {
		attrs["epmd"] = l.target.Epmd
	}
	k.journal.note("node.launched", fmt.Sprintf("%s %s boots as %s, pid %d", release.Name, version, l.target.Node, node.process.Pid()), attrs)
	if r.reason != "" && k.booted != nil {
		k.booted(version, r.reason)
	}
	if k.config.Restart == RestartUnset && k.policy(version) != RestartNever {
		k.journal.note("restart.policy", "vm.args has -heart and AGENT_RESTART is unset: it is "+string(k.policy(version)), nil)
	}
	return node, nil
}

// start starts the process, with what it can tell us by.
func (k *keeper) start(node *incarnation, l launch) (err error) {
	if node.notices, err = k.listenTo(); err != nil {
		return err
	}
	l.command.Env = append(append(l.command.Env, node.marker()), node.notices.Env()...)
	if node.heart, err = heart.Listen(l.bindir, node.id, k.journal.log); err != nil {
		node.notices.Close()
		return err
	}
	if node.process, err = k.init.Start(l.command); err != nil {
		node.heart.Close()
		node.notices.Close()
		return err
	}
	preferNode(node.process.Pid())
	return nil
}

// live follows one incarnation to its end, which it brings about when ctx is done.
func (k *keeper) live(ctx context.Context, node *incarnation) ending {
	kills := oomKills("/")
	alive, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var hung bool
	watch.Go(func() { k.awaitBoot(alive, node) })
	watch.Go(func() { hung = k.feel(alive, node) })
	watch.Go(func() { k.hear(node) })
	if !k.beat(ctx, node.Ended()) {
		k.update(func() { k.stopping = true })
		k.end(node)
	}
	cancel()
	watch.Wait()
	node.disconnect()
	node.heart.Close()
	k.update(func() {
		node.down = true
		if !node.up && k.next == "" { // nobody wanted it to end
			k.failed = failedBoot{node.version, errBoot(node.version)}
		}
	})
	exit := node.process.Exit()
	return ending{exit: exit, word: node.heart.Word(), hung: hung, oom: exit.Signal == unix.SIGKILL && oomKills("/") > kills}
}

// awaitBoot tells when the node is up. A node that is late is reported, and goes on.
func (k *keeper) awaitBoot(ctx context.Context, node *incarnation) {
	late, cancel := context.WithTimeout(ctx, k.config.BootTimeout)
	defer cancel()
	release := k.release(node)
	err := node.awaitUp(late, release)
	if err != nil && ctx.Err() == nil && !node.ended() {
		k.journal.note("node.late", fmt.Sprintf("%s %s is not up after %s: %v", release.Name, release.Version, k.config.BootTimeout, err), nil)
		err = node.awaitUp(ctx, release)
	}
	if err != nil {
		return
	}
	k.update(func() { node.up = true })
	k.journal.note("node.started", fmt.Sprintf("%s %s runs, %s after its launch", release.Name, release.Version,
		time.Since(node.since).Round(time.Millisecond)), map[string]any{"version": release.Version, "ms": time.Since(node.since).Milliseconds()})
	k.prove(ctx, node)
}

// release is what an incarnation runs, or ran last.
func (k *keeper) release(node *incarnation) volume.Release {
	k.mu.Lock()
	defer k.mu.Unlock()
	return node.release
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
	if k.state() != api.NodeRunning {
		return nil, "", k.absent()
	}
	if k.node.ended() { // which is about to be noted
		return nil, "", errors.New("the node has ended")
	}
	return k.node, k.node.version, nil
}

// InUse is the version of the incarnation that is there, or was last.
func (k *keeper) InUse() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.node == nil {
		return ""
	}
	return k.node.version
}

// Upgraded notes which version an incarnation runs now. It may have ended, and the next one runs another.
func (k *keeper) Upgraded(node upgrade.Incarnation, version string) {
	release := k.volume.State().Releases[version]
	k.update(func() {
		n := node.(*incarnation)
		n.version, n.release = version, release
		n.installs++
		k.gaveWay = k.gaveWay.since(version)
	})
	k.placeCommand(node.(*incarnation), release)
}

// Protect names what boots when the node ends unasked.
func (k *keeper) Protect(version string) {
	k.update(func() { k.protect, k.expect, k.resting = version, "", false })
}

// Rest has the node watched as one to which nothing is done.
func (k *keeper) Rest() { k.update(func() { k.resting = true }) }

// Expect names what boots when the node ends and asks for it.
func (k *keeper) Expect(version string) { k.update(func() { k.expect = version }) }

// Restart ends the node, if there is one, and boots version. Where that fails the error says why, and comes when what the keeper
// boots in its place is up.
func (k *keeper) Restart(ctx context.Context, version string) error {
	for {
		var old *incarnation
		k.update(func() { old, k.next, k.failed = k.node, version, failedBoot{} })
		if old != nil {
			k.end(old)
		}
		another := false
		err := k.wait(ctx, func() (done bool, err error) {
			another = k.node != old && k.node.version != version && k.failed.version != version
			if another { // it was about to be launched at that moment
				return true, nil
			}
			if done, err = k.isUpAfter(old); (done || err != nil) && k.failed.version == version {
				err = k.failed.why
			}
			return done, err
		})
		if !another {
			return err
		}
	}
}

// failedBoot is a release that could not be launched or ended while it booted, and why.
type failedBoot struct {
	version string
	why     error
}

func errBoot(version string) error {
	return fmt.Errorf("the node of %s ended while it booted", version)
}

// Await returns when an incarnation other than old is up.
func (k *keeper) Await(ctx context.Context, old upgrade.Incarnation) error {
	return k.wait(ctx, func() (bool, error) { return k.isUpAfter(old.(*incarnation)) })
}

// isUpAfter says whether the node that followed an incarnation, or nothing, is up. The caller holds the lock.
func (k *keeper) isUpAfter(old *incarnation) (bool, error) {
	switch {
	case k.stopping:
		return false, errStopping
	case k.node == old:
		return false, nil
	case k.node.down && k.expect != "": // or so it seems until its end is judged
		return false, nil
	case k.node.down:
		return false, errBoot(k.node.version)
	}
	return k.node.up, nil
}

// state is what the node is doing. The caller holds the lock.
func (k *keeper) state() string {
	switch {
	case k.node != nil && k.node.down && !k.restarts.Next.IsZero():
		return api.NodeRestarting
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
	n := api.Node{State: k.state(), Restarts: k.restarts}
	if k.node == nil {
		return n, volume.Release{}
	}
	n.Name, n.Since, n.Notice = k.node.target.Node, k.node.since, k.node.notices.Said()
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
		return nil, k.absent()
	}
	return k.node, nil
}

// absent says why what needs a node that runs cannot be done. The caller holds the lock.
func (k *keeper) absent() error {
	if state := k.state(); state != api.NodeRestarting {
		return fmt.Errorf("the node is %s", state)
	}
	return fmt.Errorf("the node is down, and restarted in %s", time.Until(k.restarts.Next).Round(time.Second))
}
