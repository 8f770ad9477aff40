package agent

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/heart"
)

// steps are how a node that hangs is ended.
type steps struct {
	dumpAsked   time.Duration // from USR1 until the node says that it writes a crash dump
	dumpWritten time.Duration // for the dump; ERL_CRASH_DUMP_SECONDS, 10, ends it first
	abort       time.Duration // from ABRT to KILL
}

var defaultSteps = steps{dumpAsked: 3 * time.Second, dumpWritten: 15 * time.Second, abort: 2 * time.Second}

const (
	beatEvery  = 5 * time.Second // of the node's heart (kernel: heart.erl)
	pulseTicks = 12              // in which a heart must have beaten, unless they were shorter than pulseLeast
	pulseLeast = time.Second     // an idle agent wakes no more often
)

// pulse counts how long a heart has been silent in ticks of the agent's own loop, not by a clock: what stops the whole
// container, a pause or a suspended machine, stops both, and costs one tick at most. The timeout runs from when a beat
// was due: a node that is stopped for a shorter time may have been about to beat.
type pulse struct {
	every time.Duration
	limit int // ticks of silence after which the node hangs
	beats uint64
	ticks int
}

func newPulse(timeout time.Duration) pulse {
	every := max(timeout/pulseTicks, pulseLeast)
	return pulse{every: every, limit: int((timeout + beatEvery + every - 1) / every)}
}

// tick tells whether the node hangs. While it is not watched nothing is held against it, nor afterwards.
func (p *pulse) tick(beats uint64, watched bool) bool {
	if beats != p.beats || !watched {
		p.beats, p.ticks = beats, 0
		return false
	}
	p.ticks++
	return p.ticks >= p.limit
}

// feel ends a node whose heart falls silent, and tells whether it did.
func (k *keeper) feel(ctx context.Context, node *incarnation) (hung bool) {
	if k.config.HeartTimeout == 0 {
		return false
	}
	p := newPulse(k.config.HeartTimeout)
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-node.Ended():
			return false
		case <-ctx.Done():
			return false
		}
		if p.tick(node.heart.Beats(), k.watched(node)) {
			k.journal.note("node.hung", fmt.Sprintf("no beat of the node's heart came for %s after it was due: it hangs, and is ended", k.config.HeartTimeout),
				map[string]any{"seconds": k.config.HeartTimeout.Seconds()})
			k.endHung(ctx, node)
			return true
		}
	}
}

// watched says whether silence means that the node hangs. It may be silent for long while it boots, stops, or changes
// its code, and for as long as it likes once it has said that it ends. While an upgrade waits for a person nothing changes.
func (k *keeper) watched(node *incarnation) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return node.up && !k.stopping && k.next == "" && (k.protect == "" || k.resting) && node.heart.Word() == heart.Closed
}

// endHung ends a node that hangs. It may have been stopped, so it is woken, and asked for a crash dump, which it can
// write unless its schedulers hang. A stop of the agent takes over at any time.
func (k *keeper) endHung(ctx context.Context, node *incarnation) {
	tell := func(sig unix.Signal) {
		if err := node.process.Signal(sig); err != nil {
			k.journal.log.Error("cannot signal the node", "signal", sig.String(), "err", err)
		}
	}
	tell(unix.SIGUSR1)
	tell(unix.SIGCONT)
	over := node.endsWithin(ctx, k.steps.dumpAsked)
	if !over && node.heart.Word() == heart.Crashing {
		over = node.endsWithin(ctx, k.steps.dumpWritten)
	}
	if !over {
		tell(unix.SIGABRT)
		over = node.endsWithin(ctx, k.steps.abort)
	}
	if !over {
		tell(unix.SIGKILL)
	}
}

// endsWithin waits for the end of the process, and says that it came, or that somebody else cares for it now.
func (n *incarnation) endsWithin(ctx context.Context, d time.Duration) bool {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-n.Ended():
	case <-ctx.Done():
	case <-late.C:
		return false
	}
	return true
}
