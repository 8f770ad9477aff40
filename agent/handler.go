package agent

import (
	"context"
	"errors"
	"time"

	"theseus/agent/upgrade"
	"theseus/rpc"
)

// handler is the node's release_handler over the connection that stands. The loss of a connection says nothing of the
// node, so what was only asked is asked once more over a new one. What changes something stays unknown: the
// upgrade observes what became of it.
type handler struct {
	upgrade.Handler
	connect func(context.Context) (upgrade.Handler, error)
}

// Handler is the connection to the node's release_handler.
func (n *incarnation) Handler(ctx context.Context) (upgrade.Handler, error) {
	connect := func(ctx context.Context) (upgrade.Handler, error) { return n.connect(ctx) }
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	return &handler{conn, connect}, nil
}

// observe asks, and asks again where the connection was lost.
func observe[T any](ctx context.Context, h *handler, ask func(upgrade.Handler) (T, error)) (T, error) {
	answer, err := ask(h.Handler)
	if err == nil || !lost(err) {
		return answer, err
	}
	conn, gone := h.connect(ctx)
	if gone != nil {
		return answer, err
	}
	h.Handler = conn
	return ask(conn)
}

// lost tells a connection that ended from a node that does not answer in time: that would not do so again.
func lost(err error) bool {
	return (errors.Is(err, rpc.ErrUnknownOutcome) || errors.Is(err, rpc.ErrNotSent)) &&
		!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

func (h *handler) WhichReleases(ctx context.Context) ([]rpc.Release, error) {
	return observe(ctx, h, func(c upgrade.Handler) ([]rpc.Release, error) { return c.WhichReleases(ctx) })
}

func (h *handler) Applications(ctx context.Context) ([]rpc.App, error) {
	return observe(ctx, h, func(c upgrade.Handler) ([]rpc.App, error) { return c.Applications(ctx) })
}

func (h *handler) ModifiedModules(ctx context.Context, modules []string) ([]string, error) {
	return observe(ctx, h, func(c upgrade.Handler) ([]string, error) { return c.ModifiedModules(ctx, modules) })
}

func (h *handler) Busy(ctx context.Context, modules []string, timeout time.Duration) ([]rpc.Process, error) {
	return observe(ctx, h, func(c upgrade.Handler) ([]rpc.Process, error) { return c.Busy(ctx, modules, timeout) })
}

func (h *handler) InitStatus(ctx context.Context) (internal, provided string, err error) {
	internal, err = observe(ctx, h, func(c upgrade.Handler) (string, error) {
		internal, said, err := c.InitStatus(ctx)
		provided = said
		return internal, err
	})
	return internal, provided, err
}
