package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"theseus/agent/etc"
	"theseus/agent/plugin/host"
	"theseus/agent/printable"
	"theseus/signals"
)

const maxPrinted = 64 << 10 // bytes, beyond which a command is ended

// execKind runs a command, which says by its exit status whether all is well, and prints why not.
type execKind struct {
	Command []string `toml:"command"`
}

func (k *execKind) gate(s Source) (ask, error) {
	if len(k.Command) == 0 || !filepath.IsAbs(k.Command[0]) {
		return nil, fmt.Errorf("cannot use command=%q: it does not begin with the absolute path of a program", k.Command)
	}
	if info, err := os.Stat(k.Command[0]); err != nil || info.IsDir() {
		return nil, fmt.Errorf("cannot use command=%q: there is no such program", k.Command)
	}
	return func(ctx context.Context, about *Subject) error { return k.run(ctx, s, about) }, nil
}

func (k *execKind) run(ctx context.Context, s Source, about *Subject) error {
	env := append(s.Env[:len(s.Env):len(s.Env)], "GATE_WHEN="+string(about.When), "GATE_UPGRADE="+about.Upgrade,
		"GATE_FROM="+about.From, "GATE_TO="+about.To)
	text, exit, err := s.Init.Output(ctx, signals.Command{Path: k.Command[0], Args: k.Command, Env: env, Dir: "/", OneOutput: true}, maxPrinted)
	switch {
	case errors.Is(err, signals.ErrTooMuch):
		return fmt.Errorf("it prints more than %d bytes", maxPrinted)
	case err != nil:
		return err
	case exit.Status() == 0:
		return nil
	case len(text) == 0:
		return errors.New(exit.String())
	}
	return fmt.Errorf("%s: %s", exit, printable.Line(string(text)))
}

// pluginKind asks a plugin.
type pluginKind struct{ etc.Plugin }

func (k *pluginKind) gate(s Source) (ask, error) {
	order, err := k.Order(s.Volume)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, about *Subject) error { return s.askPlugin(ctx, order, about) }, nil
}

func (s Source) askPlugin(ctx context.Context, order host.Order, about *Subject) error {
	order.Question = &host.Question{
		When: string(about.When), Upgrade: about.Upgrade, Release: about.Name, From: about.From, To: about.To,
	}
	answer, err := s.Ask(ctx, order)
	switch {
	case errors.Is(err, signals.ErrTooMuch):
		return fmt.Errorf("%s says too much", host.Name)
	case err != nil:
		return err
	case answer.OK:
		return nil
	}
	return errors.New(printable.Line(answer.Reason))
}
