package integration_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/integration/images"
	"theseus/integration/mixdemo"
	"theseus/integration/ship"
)

// command is the agent's command as what evaluates in the node of a ship.
type command struct{ *ship.Ship }

func (c command) Eval(_ context.Context, req api.EvalRequest, out io.Writer) error {
	answer := c.Ends(c.Agent(strings.NewReader(req.Source), "eval", "--json", "--lang", req.Lang, "--timeout", req.Timeout.String(), "-"), 0)
	_, err := io.WriteString(out, answer.Stdout)
	return err
}

// picture is of the node as it is.
func picture(s *ship.Ship) drift.Snapshot {
	s.T.Helper()
	taken, err := drift.Take(s.T.Context(), command{s})
	s.Must(err)
	return taken
}

// isLike fails the story where the node is not like one that was booted, or not its release.
func isLike(s *ship.Ship, about string, booted drift.Snapshot) {
	s.T.Helper()
	if got := drift.Compare(booted, picture(s)); len(got) > 0 {
		s.T.Errorf("%s: %v", about, got)
	}
	if found := s.Agent(nil, "verify", "--running"); found.Status != 0 {
		s.T.Errorf("%s: the node is not its release:\n%s%s", about, found.Stdout, found.Stderr)
	}
}

// reboots has the node booted once more, and gives a picture of it.
func reboots(s *ship.Ship, up func()) drift.Snapshot {
	s.T.Helper()
	s.Must(s.Restart(s.T.Context(), ship.Grace))
	up()
	return picture(s)
}

func TestAnUpgradedNodeIsLikeOneThatWasBooted(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Launch(t, set)
		first := picture(s)
		isLike(s, "a node and itself", first)
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		upgraded := picture(s)
		second := reboots(s, func() { s.Serves(images.Second) })
		isLike(s, "a boot", second)
		if got := drift.Compare(second, upgraded); len(got) > 0 {
			t.Errorf("an upgrade: %v", got)
		}
		s.Ends(s.Agent(nil, "rollback"), 0)
		isLike(s, "a rollback", first)
		isLike(s, "another boot", reboots(s, func() { s.Serves(images.Seed) }))
	})
}

func TestAnUpgradedNodeOfMixIsLikeOneThatWasBooted(t *testing.T) {
	ship.EachOTP(t, func(t *testing.T, otp string) {
		m := launchMix(t, otp, mixdemo.Stock)
		first := picture(m.Ship)
		m.Ends(m.command(m.second(), "agent", "upgrade", "-"), 0)
		upgraded := picture(m.Ship)
		second := reboots(m.Ship, func() { m.runs(mixdemo.Second) })
		isLike(m.Ship, "a boot", second)
		if got := drift.Compare(second, upgraded); len(got) > 0 {
			t.Errorf("an upgrade: %v", got)
		}
		m.Ends(m.command(nil, "agent", "rollback"), 0)
		isLike(m.Ship, "a rollback", first)
	})
}
