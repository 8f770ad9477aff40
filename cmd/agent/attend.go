package main

import (
	"context"
	"os"
	"os/signal"
	"slices"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
)

// codeInterrupted is the command's own; the agent never sends it.
const codeInterrupted = "interrupted"

// asking is a request that is answered by the events of an upgrade.
type asking func(context.Context, func(api.Event)) (api.Result, error)

// attend asks, and tells how it goes and ends.
func (c *cli) attend(ctx context.Context, ask asking) error {
	progress := c.newProgress()
	result, err := c.follow(ctx, progress, ask)
	return c.end(progress, result, err)
}

// follow shows an upgrade to its end. From its first event on, when the package has come, the agent goes on by itself: who interrupts
// the command then is told so. Before that a signal ends the command as any other, for a read of standard input cannot be interrupted.
func (c *cli) follow(ctx context.Context, progress *progress, ask asking) (api.Result, error) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var id string
	heard, stop := context.Background(), func() {}
	result, err := ask(ctx, func(e api.Event) {
		if id == "" && e.Upgrade != "" && e.Kind != api.KindProgress {
			id = e.Upgrade
			heard, stop = signal.NotifyContext(heard, slices.DeleteFunc([]os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP}, signal.Ignored)...)
			context.AfterFunc(heard, leave)
		}
		progress.event(e)
	})
	interrupted := heard.Err() != nil
	stop()
	if interrupted && err != nil {
		return result, c.left(id)
	}
	return result, err
}

// left says what becomes of an upgrade that nobody follows.
func (c *cli) left(id string) *api.Error {
	ctx, cancel := context.WithTimeout(context.Background(), idlePatience)
	defer cancel()
	e := &api.Error{Code: codeInterrupted, Message: "cannot follow the upgrade: interrupted", Hint: "agent history show " + id + " tells how it ended, agent status what runs now"}
	if status, err := c.client().Status(ctx); err == nil && status.Upgrade != nil && status.Upgrade.ID == id {
		e.State = status.Upgrade.String()
		e.Hint = "it goes on without this command: agent status shows it, agent history show " + id + " tells how it ended"
	}
	return e
}
