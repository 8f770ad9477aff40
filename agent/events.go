package agent

import (
	"context"
	"log/slog"
	"time"

	"theseus/agent/api"
	"theseus/volume"
)

// journal is where every event goes: the log on stderr, the history on the volume, and who else wants to hear.
type journal struct {
	log    *slog.Logger
	volume *volume.Volume
	hears  func(api.Event) // may be nil; must not wait
	shows  func()          // looks at what no event tells; may be nil; must not wait
}

// record logs and keeps an event. A history that cannot be written is reported and does not stop anything:
// the decision that the event tells of has been taken.
func (j *journal) record(e api.Event) {
	if e.Kind == api.KindProgress {
		return
	}
	if j.hears != nil {
		j.hears(e)
	}
	attrs := []slog.Attr{slog.String("kind", e.Kind)}
	if e.Upgrade != "" {
		attrs = append(attrs, slog.String("upgrade", e.Upgrade))
	}
	level := slog.LevelInfo
	if e.Error != nil {
		level = slog.LevelError
	}
	j.log.LogAttrs(context.Background(), level, e.Message, attrs...)
	step := e.Upgrade != "" && e.Result == nil // the end of its upgrade makes it durable as well
	if err := j.volume.RecordHistory(e, !step); err != nil {
		j.log.Error("cannot record the event in the history", "err", err)
	}
}

// record is for the events of an attempt, which waits until they are kept.
func (a *agent) record(e api.Event) {
	a.journal.record(e)
	a.chronicle.attend(a.upgrades, e)
}

// stir is for what is shown and no event.
func (j *journal) stir() {
	if j.shows != nil {
		j.shows()
	}
}

// note records something that the agent itself did or saw.
func (j *journal) note(kind, message string, attrs map[string]any) {
	j.record(api.Event{Time: time.Now(), Kind: kind, Message: message, Attrs: attrs})
}
