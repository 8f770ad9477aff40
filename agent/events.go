package agent

import (
	"context"
	"log/slog"
	"time"

	"theseus/agent/api"
	"theseus/volume"
)

// journal is where every event goes: the log on stderr and the history on the volume.
type journal struct {
	log    *slog.Logger
	volume *volume.Volume
}

// record logs and keeps an event. A history that cannot be written is reported and does not stop anything:
// the decision that the event tells of has been taken.
func (j *journal) record(e api.Event) {
	if e.Kind == api.KindProgress {
		return
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

// note records something that the agent itself did or saw.
func (j *journal) note(kind, message string, attrs map[string]any) {
	j.record(api.Event{Time: time.Now(), Kind: kind, Message: message, Attrs: attrs})
}
