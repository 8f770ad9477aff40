package agent

import (
	"context"
	"fmt"
	"time"

	"theseus/agent/api"
	"theseus/volume"
)

// A release that becomes permanent is unproven until it has run well after a boot of its own: all applications run, and
// still do when AGENT_SETTLE is over. Until then its boots are counted, each before it begins:
//
//	it ran well                                 proven: its later crashes are the restart policy's
//	it was told to stop while it was up         the boot counts for nothing
//	it ended, or was killed with the container,
//	or could not even be launched               the boot counts; after AGENT_BOOT_ATTEMPTS of them the release is spent
//
// A minute (AGENT_BOOT_SPAN) has to lie between the first and the last of these boots, however many fit into it: a dependency that is
// away for some seconds is no fault of the release.
// What is spent goes into quarantine, and the release before it boots. Where there is none it is booted again.

// spent is the current release when it has used up its boots, else empty.
func spent(s volume.State, c Config) string {
	if s.Releases[s.Current].Spent(c.BootAttempts, c.BootSpan) {
		return s.Current
	}
	return ""
}

// giveUp puts the current release into quarantine when it is spent, and another one can boot; the reason for that one is
// empty otherwise. why is how the last boot ended, where that is known.
func (a *agent) giveUp(ctx context.Context, image volume.Image, seed seedPackage, why string) (reason string) {
	s := a.volume.State()
	version := spent(s, a.config)
	if version == "" {
		return ""
	}
	for _, instead := range s.Fallbacks(version) {
		if err := a.makeWhole(ctx, instead, image, seed); err != nil {
			a.log.Error("cannot boot "+instead+" instead of what never ran well", "err", err)
			continue
		}
		return a.quarantine(version, instead, why)
	}
	a.journal.note("release.spent", fmt.Sprintf("%s; there is no release before it that can boot instead", neverRan(s.Releases[version], why)),
		map[string]any{"version": version, "boots": s.Releases[version].Boots})
	return ""
}

// quarantine records that a release was given up, and tells it.
func (a *agent) quarantine(version, instead, why string) (reason string) {
	r := a.volume.State().Releases[version]
	failure := volume.Failure{Reason: neverRan(r, why), At: time.Now().UTC()}
	if err := a.volume.Quarantine(version, instead, failure); err != nil {
		a.log.Error("cannot put "+version+" into quarantine", "err", err)
		return ""
	}
	a.journal.record(api.Event{
		Time: time.Now(), Kind: "release.quarantined", Message: fmt.Sprintf("%s: it is given up, and %s boots instead", failure.Reason, instead),
		Attrs: map[string]any{"version": version, "boots": r.Boots, "instead": instead},
		Error: &api.Error{
			Code: "release-quarantined", Message: failure.Reason, State: instead + " is permanent",
			Hint: fmt.Sprintf("agent upgrade with its package, or agent rollback %s, tries it again; agent remove %s takes it away", version, version),
		},
	})
	return fmt.Sprintf("in the place of %s, which was given up", version)
}

func neverRan(r volume.Release, why string) string {
	text := fmt.Sprintf("%s %s was booted %d times and never ran well", r.Name, r.Version, r.Boots)
	if why != "" {
		text += ", the last time " + why
	}
	return text
}

// countBoot must be done before the launch, which may be the end of everything. A disk that cannot record it keeps no node
// from its boot.
func (k *keeper) countBoot(version string) {
	if err := k.volume.CountBoot(version, time.Now()); err != nil {
		k.journal.log.Error("cannot count the boot of "+version, "err", err)
	}
}

// prove waits until the release that was booted has run well, and notes that. ctx ends with the node.
func (k *keeper) prove(ctx context.Context, node *incarnation) {
	wait := k.config.Settle
	for k.isProving(node) {
		settled := time.NewTimer(wait)
		select {
		case <-settled.C:
		case <-ctx.Done():
			settled.Stop()
			return
		}
		release := k.release(node)
		if node.isUp(ctx, release) == nil && k.isProving(node) {
			err := k.volume.Prove(node.booted)
			if err == nil {
				return
			}
			k.journal.log.Error("cannot note that "+node.booted+" has run well; it is tried again", "err", err)
			wait = max(wait, time.Minute)
			continue
		}
		if node.awaitUp(ctx, release) != nil {
			return
		}
	}
}

// isProving says that the node runs a release that is unproven, and was booted with it.
func (k *keeper) isProving(node *incarnation) bool {
	runs := k.release(node).Version
	return runs == node.booted && k.volume.State().Releases[runs].Unproven
}

// weigh settles what the boot of an unproven release counts for, when its node has ended. Where it was given up, the reason
// is for which another one boots.
func (k *keeper) weigh(ctx context.Context, node *incarnation, end ending) (gaveUp string) {
	if !k.counts(node.booted) {
		return ""
	}
	k.mu.Lock()
	up, asked, upgrading := node.up, ctx.Err() != nil || k.next != "", k.protect != ""
	k.mu.Unlock()
	switch {
	case asked && up:
		if err := k.volume.DiscountBoot(node.booted); err != nil {
			k.journal.log.Error("cannot take the boot of "+node.booted+" back", "err", err)
		}
	case asked || upgrading: // the next start sees to it
	default:
		return k.judge(ctx, "it ended with "+end.String())
	}
	return ""
}

// counts says that a boot of this release is counted: it is permanent, and has never run well.
func (k *keeper) counts(version string) bool {
	s := k.volume.State()
	return version == s.Current && s.Releases[version].Unproven
}

// judge gives up what is permanent when it is spent. why is how its last boot ended. What boots then has failed no time yet, and
// is what was chosen last.
func (k *keeper) judge(ctx context.Context, why string) (gaveUp string) {
	if k.giveUp == nil {
		return ""
	}
	k.meanwhile(ctx, func() { gaveUp = k.giveUp(ctx, why) }) // which may have to restore the other one
	if gaveUp != "" {
		k.update(func() { k.row, k.first, k.gaveWay = 0, "", standIn{} })
	}
	return gaveUp
}
