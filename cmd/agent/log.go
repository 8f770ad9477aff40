package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"theseus/agent/printable"
)

// lineHandler writes "agent: 20:04:05.000 message key=value", a line a record, in one write.
type lineHandler struct {
	mu    *sync.Mutex
	out   io.Writer
	attrs string
}

func newLineHandler(out io.Writer) slog.Handler { return lineHandler{mu: new(sync.Mutex), out: out} }

func (h lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h lineHandler) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	fmt.Fprintf(&line, "agent: %s ", r.Time.UTC().Format("15:04:05.000"))
	if r.Level > slog.LevelInfo {
		line.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	line.WriteString(printable.Text(r.Message) + h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		line.WriteString(attr(a))
		return true
	})
	line.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, line.String())
	return err
}

func (h lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.attrs += attr(a)
	}
	return h
}

// WithGroup is not used by the agent.
func (h lineHandler) WithGroup(string) slog.Handler { return h }

// attr quotes what could be taken for another line or another attribute.
func attr(a slog.Attr) string {
	value := a.Value.Resolve().String()
	if strings.ContainsAny(value, " \"=") || value != printable.Text(value) || value == "" {
		value = fmt.Sprintf("%q", value)
	}
	return " " + a.Key + "=" + value
}
