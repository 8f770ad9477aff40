// Package libraries_test upgrades libraries of others, as Debian has them in two versions, by relups that nobody wrote.
package libraries_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/integration/debian"
	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// library is one in the versions of Debian 12 and 13, each compiled there: by OTP 25 and 27.
type library struct {
	name, old, new string
	refused        string // why no relup is derived; empty: one is
}

var libraries = []library{
	{name: "aten", old: "0.5.8", new: "0.6.0"},
	{name: "cache_tab", old: "1.0.30", new: "1.0.31", refused: "ets_cache has native code"},
	{name: "credentials_obfuscation", old: "3.1.0", new: "3.4.0"},
	{name: "jose", old: "1.11.1", new: "1.11.10", refused: "jose_server begins with another state than it did"},
	{name: "mochiweb", old: "3.1.1", new: "3.2.2"},
	{name: "prometheus", old: "4.9.1", new: "4.11.0"},
	{name: "seshat", old: "0.3.2", new: "0.6.1"},
}

func (l library) pkg(s *ship.Ship, dir, version string) []byte {
	s.T.Helper()
	content, err := os.ReadFile(filepath.Join(dir, l.name, "harbour-"+version+".tar.gz"))
	s.Must(err)
	return content
}

// older is the newest OTP that loads all of what OTP 25 has compiled.
const older = "27"

func TestLibrariesAreUpgradedInUseByRelupsThatNobodyWrote(t *testing.T) {
	ship.OnOTP(t, older, func(t *testing.T, set *images.Set) {
		dir := debian.Packages(ship.Build(t, set), "libraries")
		for _, l := range ship.Drawn(t.Name(), 3, libraries) {
			t.Run(l.name, func(t *testing.T) { l.upgraded(t, set, dir) })
		}
	})
}

func (l library) upgraded(t *testing.T, set *images.Set, dir string) {
	h := launch(t, set, dir, l, l.old)
	before := h.pid()
	h.awaitsUses(100)
	a := h.Upgrade(l.pkg(h.Ship, dir, l.new), "--derived")
	if l.refused != "" {
		h.Has(h.Ends(a, 5).Stderr, l.refused)
		h.awaitsUses(100)
		h.isRight()
		return
	}
	h.Has(h.Ends(a, 0).Stderr, "what "+l.name+" must do was derived from the modules")
	h.awaitsUses(100)
	h.isRight()
	if h.pid() != before {
		t.Errorf("the process that uses %s is another one", l.name)
	}
	fresh := launch(t, set, dir, l, l.new)
	fresh.awaitsUses(1)
	for _, d := range drift.Compare(fresh.picture(), h.picture()) {
		t.Errorf("%s %s: want %s, got %s", d.Kind, d.Subject, d.Want, d.Got)
	}
}

// harbour is a service that uses a library.
type harbour struct{ *ship.Ship }

func launch(t *testing.T, set *images.Set, dir string, l library, version string) harbour {
	t.Helper()
	seed := filepath.Join(dir, l.name, "harbour-"+version+".tar.gz")
	h := harbour{ship.Build(t, set, "-v", seed+":/seed.tar.gz:ro", "-e", "AGENT_SEED=/seed.tar.gz")}
	h.Replace(set.Image)
	h.Must(h.Await(t.Context(), "a healthy service", ship.Patience, h.Healthy))
	return h
}

func (h harbour) pid() string { return h.RPC("erlang", "whereis", "[harbour_use]") }

func (h harbour) uses() (n int) {
	h.T.Helper()
	n, err := strconv.Atoi(h.RPC("harbour_use", "uses"))
	h.Must(err)
	return n
}

// awaitsUses waits until it has used its library some more times.
func (h harbour) awaitsUses(more int) {
	h.T.Helper()
	first := h.uses()
	h.Must(h.Await(h.T.Context(), "uses", ship.Patience, func(context.Context) error {
		if now := h.uses(); now < first+more {
			return fmt.Errorf("%d of %d uses", now-first, more)
		}
		return nil
	}))
}

// isRight fails the story where a use did not find what those before had left.
func (h harbour) isRight() {
	h.T.Helper()
	if wrong := h.RPC("harbour_use", "wrong"); wrong != "[]" {
		h.T.Errorf("after %d uses: %s", h.uses(), wrong)
	}
}

func (h harbour) picture() drift.Snapshot {
	h.T.Helper()
	s, err := drift.Take(h.T.Context(), h)
	h.Must(err)
	return s
}

// Eval evaluates in the container: no client from outside is let in.
func (h harbour) Eval(ctx context.Context, req api.EvalRequest, out io.Writer) error {
	var complaint bytes.Buffer
	status, err := h.Exec(ctx, docker.Exec{
		Args:  []string{"agent", "eval", "--json", "--lang", req.Lang, "--timeout", req.Timeout.String(), "-"},
		Stdin: bytes.NewReader([]byte(req.Source)), Stdout: out, Stderr: &complaint,
	})
	if err == nil && status != 0 {
		err = errors.New(complaint.String())
	}
	return err
}
