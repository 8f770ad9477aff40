package agent

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/erlexec"
	"theseus/agent/heart"
	"theseus/volume"
)

// follow decides what follows the node's end, and tells it.
func (k *keeper) follow(ctx context.Context, node *incarnation, end ending) ruling {
	var r ruling
	end.expect, end.script = k.prepared(node, end)
	gaveUp := k.weigh(ctx, node, end)
	k.update(func() {
		end.stopping, end.restart, end.protect, end.dump = ctx.Err() != nil, k.next, k.protected(), node.dumped
		if node.up && time.Since(node.since) >= steadyTime {
			k.row, k.first = 0, ""
		}
		end.restarts = k.row
		k.next = ""
		if end.expect == "" {
			k.expect = ""
		}
		r = k.schedule(end, rule(end, k.policy(node.version), k.config.RestartLimit))
	})
	r.reason = cmp.Or(gaveUp, reason(end))
	k.tell(node, end, r)
	return r
}

// reason is why a release boots after this end.
func reason(end ending) string {
	switch {
	case end.restart != "":
		return askedFor
	case end.expect != "":
		return "its upgrade restarts the emulator"
	}
	return "the node before it ended: " + end.String()
}

const askedFor = "a restart into it was asked for"

// prepared is the release that the upgrade under way is to restart the emulator into, and the boot script that
// release_handler has made for it. The node has asked for that, in order (release_handler: prepare_restart_new_emulator),
// or both are empty.
func (k *keeper) prepared(node *incarnation, end ending) (version, script string) {
	k.mu.Lock()
	want, from := k.expect, node.version
	k.mu.Unlock()
	asked := end.word == heart.Closed && end.exit.Status() == 0 && strings.HasSuffix(node.heart.Command(), volume.NextFile)
	if want == "" || !asked {
		return "", ""
	}
	next, err := k.volume.TakeNext()
	if erts := k.volume.State().Releases[want].ERTS; err == nil && next.ERTS != erts {
		err = fmt.Errorf("release_handler wants ERTS %s for %s, which has %s", next.ERTS, want, erts)
	}
	if err == nil && next.Version != want && next.Version != volume.HybridPrefix+from {
		err = fmt.Errorf("release_handler wants %s to be booted, not %s", next.Version, want)
	}
	if err != nil {
		k.journal.log.Error("cannot go on with the upgrade", "err", err)
		return "", ""
	}
	return want, next.Version
}

// protected is what boots when the node ends in the course of an upgrade: the old release before the commit.
func (k *keeper) protected() string {
	op := k.volume.State().Operation
	if k.protect != "" && op != nil && op.Phase == volume.PhaseCommitted {
		return op.To
	}
	return k.protect
}

// instead is what boots in the place of what cannot even be launched: what somebody has asked for since, else what replaces it.
func (k *keeper) instead(ctx context.Context, version string, why error) (r ruling) {
	k.update(func() {
		k.failed = failedBoot{version, why}
		if k.next != version && k.next != "" {
			r = ruling{action: bootNow, version: k.next, reason: askedFor}
		}
		k.next = ""
	})
	if r.version != "" {
		k.journal.log.Error(r.version+" is booted instead, as was asked for", "err", why)
		return r
	}
	return k.replace(ctx, version, why)
}

// replace is what boots where a release cannot even be launched: what an upgrade protects, else what is before a release that
// is given up over it. It names no version where there is nothing.
func (k *keeper) replace(ctx context.Context, version string, why error) ruling {
	k.mu.Lock()
	protected, upgrading := k.protected(), k.protect != ""
	k.mu.Unlock()
	if protected != "" && protected != version {
		k.journal.log.Error(protected+" is booted instead", "err", why)
		return ruling{version: protected, reason: "in the place of " + version + ", which cannot be launched"}
	}
	if upgrading || !k.counts(version) {
		return ruling{}
	}
	if gaveUp := k.judge(ctx, "nothing was launched: "+why.Error()); gaveUp != "" {
		return ruling{version: k.permanent(), reason: gaveUp}
	}
	return ruling{}
}

// policy is what is in force for a release.
func (k *keeper) policy(version string) RestartPolicy {
	line := erlexec.Line{OTP: erlexec.OTP(k.volume.State().Releases[version].ERTS), Environ: k.environ, Dir: k.volume.Root()}
	if vmArgs := filepath.Join(k.volume.ReleaseDir(version), "vm.args"); exists(vmArgs) {
		line.Args = []string{"-args_file", vmArgs}
	}
	said, err := line.Read()
	return policyFor(k.config.Restart, err == nil && said.Has("-heart"))
}

// schedule notes a restart. What the policy boots is what a start of the container would: the permanent release.
func (k *keeper) schedule(end ending, r ruling) ruling {
	if r.action == endAgent {
		return r
	}
	k.restarts = api.Restarts{Count: k.restarts.Count + 1, Last: end.String(), At: time.Now()}
	if r.action == bootLater {
		r.version = k.permanent()
		r.delay = delay(k.config.RestartDelay, k.row, rand.Float64()) //nolint:gosec // no secret
		k.restarts.Next = time.Now().Add(r.delay)
		k.row++
		r.why = fmt.Sprintf("%s in %s, number %d in a row", r.why, r.delay.Round(time.Millisecond), k.row)
	}
	return r
}

// tell records how the node ended, and what follows.
func (k *keeper) tell(node *incarnation, end ending, r ruling) {
	release := k.release(node)
	name, version := release.Name, release.Version
	attrs := map[string]any{"version": version, "status": end.exit.Status(), "reason": end.String()}
	message := fmt.Sprintf("the node of %s %s ended: %s; %s", name, version, end, r.why)
	if text, there := slogan(node.dump, node.since); there {
		k.first = cmp.Or(k.first, node.dump)
		attrs["dump"], attrs["slogan"] = node.dump, text
		message += fmt.Sprintf("; its crash dump is %s: %s", node.dump, text)
	}
	if r.action != endAgent {
		attrs["boots"], attrs["delay_ms"] = r.version, r.delay.Milliseconds()
	}
	k.journal.note("node.ended", message, attrs)
}

// standIn is the release that booted in the place of the permanent one, which was found unusable at the start.
type standIn struct{ unusable, version string }

// since forgets it when the permanent one runs after all.
func (s standIn) since(runs string) standIn {
	if runs == s.unusable {
		return standIn{}
	}
	return s
}

// permanent is what boots without anybody's asking: the permanent release, or what stands in for it.
func (k *keeper) permanent() string {
	if current := k.volume.State().Current; current != k.gaveWay.unusable {
		return current
	}
	return k.gaveWay.version
}

// pause waits until the restart is due, somebody asks for one, or ctx is done.
func (k *keeper) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer cancel()
		_ = k.wait(ctx, func() (bool, error) { return k.next != "", nil })
	})
	k.beat(ctx, ctx.Done())
	waiting.Wait()
	k.update(func() { k.restarts.Next = time.Time{} })
}
