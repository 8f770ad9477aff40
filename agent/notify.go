package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/notify"
	"theseus/agent/upgrade"
)

const (
	betweenNodes = 10 * time.Second // beside the time of a stop: what is between two nodes takes no longer
	lastThings   = 2 * time.Second  // after the node's end: what it left, open requests
)

// notifier tells the service manager, if there is one, what the agent is doing. stop is done when it is to end.
func (a *agent) notifier(stop context.Context) *notify.Notifier {
	var stopped time.Time
	return notify.NewNotifier(notify.FromEnvironment(a.log), func() notify.View {
		if stopped.IsZero() && stop.Err() != nil {
			stopped = time.Now()
		}
		s := a.Status()
		return notify.View{Status: describe(s, !stopped.IsZero()), Left: a.left(s, stopped)}
	})
}

// describe is one line of what is going on.
func describe(s api.Status, stopping bool) string {
	what := strings.TrimSpace(s.Release.Name + " " + s.Release.Version)
	parts := []string{what + " " + doing(s.Node.State)}
	switch {
	case stopping:
		parts[0] = what + " is stopping"
	case what == "" || s.Node.Name == "" && s.Node.State == api.NodeDown:
		parts[0] = "preparing the volume"
	}
	if u := s.Upgrade; u != nil {
		parts = append(parts, upgradeTo(u.To)+": "+upgradeState(u))
	}
	if r := s.Node.Restarts; r.Count > 0 {
		parts = append(parts, fmt.Sprintf("restarts: %d, the last after %s", r.Count, r.Last))
	}
	if n := s.Node.Notice; n != nil && n.Status != "" {
		parts = append(parts, "node: "+n.Status)
	}
	return strings.ReplaceAll(strings.Join(parts, "; "), "\n", " ")
}

func upgradeTo(version string) string {
	if version == "" {
		return "upgrade"
	}
	return "upgrade to " + version
}

func upgradeState(u *api.Upgrade) string {
	if u.Waits() {
		return "waits for its commit until " + u.CommitBy.UTC().Format(time.DateTime) + " UTC"
	}
	return u.State
}

func doing(node string) string {
	switch node {
	case api.NodeRunning:
		return "runs"
	case api.NodeRestarting:
		return "is down and restarted soon"
	}
	return "is " + node
}

// left is how much longer the manager is to wait for what is under way. stopped is when the agent was told to stop.
func (a *agent) left(s api.Status, stopped time.Time) time.Duration {
	switch {
	case !stopped.IsZero():
		return time.Until(a.keeper.stopBy(stopped).Add(lastThings))
	case s.Upgrade != nil && installing(s.Upgrade):
		return time.Minute // its steps have deadlines of their own
	case s.Node.State == api.NodeBooting:
		return time.Until(s.Node.Since.Add(a.config.BootTimeout))
	case s.Node.Name == "":
		return time.Until(a.since.Add(a.config.BootTimeout))
	}
	return 0
}

// installing says that the node has a reason not to answer. While an upgrade waits for a person it has none.
func installing(u *api.Upgrade) bool {
	return !u.Waits() && (u.State == string(upgrade.Installing) || u.State == string(upgrade.Probation))
}

// stopBy is when a node that was told to stop has ended, or is killed.
func (k *keeper) stopBy(told time.Time) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping && k.deadline.After(told) {
		return k.deadline
	}
	return told.Add(k.config.StopTimeout)
}

// vigil is what the watchdog goes by.
type vigil struct {
	*agent
	felt time.Time // the keeper's pulse
}

func (a *agent) vigil() *vigil { return &vigil{agent: a, felt: time.Now()} }

// alive has no objection while the keeper's loop turns, and the node answers or has a reason not to: it is booting and
// not late, upgraded, restarted, or stopping within its time.
func (v *vigil) alive(ctx context.Context) error {
	if err := v.feel(ctx); err != nil {
		return err
	}
	s := v.Status()
	switch {
	case s.Upgrade != nil && installing(s.Upgrade):
		return nil
	case s.Node.State == api.NodeBooting && time.Since(s.Node.Since) > v.config.BootTimeout:
		return errors.New("the node is not up in time")
	case s.Node.State == api.NodeRunning:
		if node, err := v.keeper.current(); err == nil { // else it has ended meanwhile
			return node.answers(ctx)
		}
	}
	return nil
}

// feel meets the keeper's loop, and leaves most of the time for the node. The loop is elsewhere while a node is stopped
// and the next one launched, but not for long: what may take its time is done meanwhile.
func (v *vigil) feel(ctx context.Context) error {
	end, _ := ctx.Deadline()
	brief, cancel := context.WithTimeout(ctx, time.Until(end)/4)
	defer cancel()
	select {
	case <-v.keeper.pulse:
		v.felt = time.Now()
	case <-brief.Done():
		if time.Since(v.felt) > v.config.StopTimeout+betweenNodes {
			return errors.New("the loop that keeps the node is stuck")
		}
	}
	return nil
}

// answers asks the node for a sign of life, and whether it feeds its own watchdog.
func (n *incarnation) answers(ctx context.Context) error {
	if n.notices.Silent() {
		return errors.New("the node does not feed its watchdog")
	}
	conn, err := n.connect(ctx)
	if err == nil {
		_, _, err = conn.InitStatus(ctx)
	}
	if err != nil && !n.ended() {
		return fmt.Errorf("the node does not answer: %w", err)
	}
	return nil
}

// beat shows that the keeper's loop turns, until something is done; false says that it was ctx.
func (k *keeper) beat(ctx context.Context, done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return true
		case <-ctx.Done():
			return false
		case k.pulse <- struct{}{}:
		}
	}
}

// meanwhile shows that the keeper's loop turns while it does what may take long between two nodes, and is through with it
// when it returns.
func (k *keeper) meanwhile(ctx context.Context, work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	k.beat(context.WithoutCancel(ctx), done)
}

// listenTo makes the socket on which the next node will tell of itself, where it is to have one.
func (k *keeper) listenTo() (*notify.Node, error) {
	if !k.config.NodeNotify {
		return nil, nil
	}
	return notify.Listen(filepath.Join(k.config.RunDir, "notify.sock"), k.config.NodeWatchdog, k.told, k.journal.log.Warn)
}

// told takes an event from the node's messages; one without a kind is a new status.
func (k *keeper) told(e api.Event) {
	if e.Kind == "" {
		k.journal.stir()
		return
	}
	k.journal.record(e)
}

// hear listens to a node until it ends.
func (k *keeper) hear(node *incarnation) {
	if node.notices == nil {
		return
	}
	var serving sync.WaitGroup
	serving.Go(func() { node.notices.Serve(node.process.Pid()) })
	defer serving.Wait()
	defer node.notices.Close()
	check := time.NewTimer(0)
	defer check.Stop()
	for {
		select {
		case <-check.C:
			check.Reset(node.notices.Check(k.excuses(node)))
		case <-node.Ended():
			return
		}
	}
}

// excuses says whether the node has better things to do than to feed its watchdog.
func (k *keeper) excuses(node *incarnation) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !node.up || k.stopping || k.next != "" || k.protect != "" && !k.resting
}
