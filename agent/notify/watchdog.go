package notify

import (
	"context"
	"time"
)

// Watch feeds the manager's watchdog at half of its time, while alive has no objection, until ctx is done. alive must have
// answered before the next half is over. Its first objection is reported.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error) {
	m := n.manager
	if m.watchdog == 0 {
		return
	}
	beat := time.NewTicker(max(m.watchdog/2, time.Millisecond))
	defer beat.Stop()
	for starved := false; ; {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		asked, cancel := context.WithTimeout(ctx, m.watchdog*2/5)
		err := alive(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			m.send(watchdog)
		case !starved:
			m.log.Error("the service manager's watchdog is not fed", "err", err, "watchdog", m.watchdog.String())
		}
		starved = err != nil
	}
}
