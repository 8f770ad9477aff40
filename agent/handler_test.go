package agent

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"theseus/agent/upgrade"
	"theseus/rpc"
)

// losing is a connection whose calls end as the test says.
type losing struct {
	upgrade.Handler
	err   error
	calls *[]string
}

func (l losing) call(name string) error {
	*l.calls = append(*l.calls, name)
	return l.err
}

func (l losing) WhichReleases(context.Context) ([]rpc.Release, error) { return nil, l.call("which") }
func (l losing) Applications(context.Context) ([]rpc.App, error)      { return nil, l.call("apps") }
func (l losing) MakePermanent(context.Context, string) error          { return l.call("make_permanent") }

func (l losing) InitStatus(context.Context) (internal, provided string, err error) {
	return "started", "started", l.call("status")
}

func (l losing) ModifiedModules(context.Context, []string) ([]string, error) {
	return nil, l.call("modified")
}

func (l losing) Busy(context.Context, []string, time.Duration) ([]rpc.Process, error) {
	return nil, l.call("busy")
}

// lossy is a handler whose first connection ends each call with an error, and how often that was called.
func lossy(err error) (h *handler, first, second *[]string) {
	first, second = new([]string), new([]string)
	return &handler{losing{err: err, calls: first}, func(context.Context) (upgrade.Handler, error) {
		return losing{calls: second}, nil
	}}, first, second
}

// observations are the calls that change nothing.
var observations = map[string]func(context.Context, upgrade.Handler) error{
	"which":    func(ctx context.Context, h upgrade.Handler) error { _, err := h.WhichReleases(ctx); return err },
	"apps":     func(ctx context.Context, h upgrade.Handler) error { _, err := h.Applications(ctx); return err },
	"modified": func(ctx context.Context, h upgrade.Handler) error { _, err := h.ModifiedModules(ctx, nil); return err },
	"busy":     func(ctx context.Context, h upgrade.Handler) error { _, err := h.Busy(ctx, nil, 0); return err },
	"status": func(ctx context.Context, h upgrade.Handler) error {
		internal, provided, err := h.InitStatus(ctx)
		if internal != "started" || provided != "started" {
			return fmt.Errorf("it is %s, %s", internal, provided)
		}
		return err
	},
}

func TestAnObservationIsAskedAgainWhenTheConnectionIsLost(t *testing.T) {
	for name, ask := range observations {
		for _, loss := range []error{rpc.ErrUnknownOutcome, rpc.ErrNotSent} {
			h, _, second := lossy(fmt.Errorf("%w: the connection was lost", loss))
			if err := ask(t.Context(), h); err != nil || len(*second) != 1 {
				t.Errorf("%s: %v, asked again %v", name, err, *second)
			}
			if err := h.MakePermanent(t.Context(), "1.1.0"); err != nil {
				t.Errorf("after %s the old connection is used: %v", name, err)
			}
		}
	}
}

func TestAnObservationThatFailsOrIsLateIsNotAskedAgain(t *testing.T) {
	for name, ask := range observations {
		for _, cause := range []error{
			&rpc.BadRPCError{}, rpc.ErrTooLarge, fmt.Errorf("%w: %w", rpc.ErrUnknownOutcome, context.DeadlineExceeded),
			fmt.Errorf("%w: %w", rpc.ErrNotSent, context.Canceled),
		} {
			h, first, second := lossy(cause)
			if err := ask(t.Context(), h); !errors.Is(err, cause) || len(*first) != 1 || len(*second) != 0 {
				t.Errorf("%s: %v, asked %v, again %v", name, err, *first, *second)
			}
		}
	}
}

func TestWhatChangesTheNodeIsNotAskedAgain(t *testing.T) {
	h, first, second := lossy(rpc.ErrUnknownOutcome)
	if err := h.MakePermanent(t.Context(), "1.1.0"); !errors.Is(err, rpc.ErrUnknownOutcome) || len(*first) != 1 || len(*second) != 0 {
		t.Errorf("%v, asked %v, again %v", err, *first, *second)
	}
}
