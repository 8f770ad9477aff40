package plan

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/agent/relup"
	"theseus/agent/upgrade"
	"theseus/volume"
)

// volumeWith is one to be looked at that has these releases, as far as its state goes.
func volumeWith(t *testing.T, releases ...volume.Release) *volume.Volume {
	t.Helper()
	root := t.TempDir()
	state := volume.State{Schema: 1, Releases: map[string]volume.Release{}, Failed: map[string]volume.Failure{}}
	for _, r := range releases {
		r.ERTS = "13.1.5"
		state.Releases[r.Version] = r
	}
	text, err := json.Marshal(state)
	if err == nil {
		err = os.Mkdir(filepath.Join(root, ".agent"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, ".agent", "state.json"), fmt.Appendf(nil, `{"sha256":"%x","state":%s}`, sha256.Sum256(text), text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	v, err := volume.Look(root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// clientOf is of an agent whose node answers so to whatever it is asked. What that was is put where asked points.
func clientOf(t *testing.T, answer any, asked *string) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		question, err := io.ReadAll(r.Body)
		*asked = string(question)
		if err == nil {
			err = json.NewEncoder(w).Encode(map[string]any{"result": answer})
		}
		if err != nil {
			t.Error(err)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return api.NewClient(socket)
}

// TestOtherCodeCountsWhereTheVersionChanges, on the way as well: the engine asks for no more. An application that has other settings alone keeps
// the code that it runs.
func TestOtherCodeCountsWhereTheVersionChanges(t *testing.T) {
	lib := func(app, version string) volume.Lib { return volume.Lib{App: app, Version: version} }
	from := release("1.0.0", lib("shop", "1"), lib("mail", "1"), lib("log", "1"), lib("till", "1"))
	over := release("1.1.0", lib("shop", "2"), lib("mail", "1"), lib("log", "2"), lib("till", "1"))
	to := release("1.2.0", lib("shop", "2"), lib("mail", "1"), lib("log", "1"), lib("till", "1"))
	found := drift.Found{}
	for _, app := range []string{"shop", "mail", "log", "till"} {
		found.Differences = append(found.Differences, drift.Difference{Kind: drift.ModuleDiffers, Application: app, Subject: app + "_code"})
	}
	for about, c := range map[string]struct {
		hops  []upgrade.Hop
		scope string
		want  []string
	}{
		"at once":   {[]upgrade.Hop{{From: "1.0.0", To: "1.2.0"}}, "#{shop => true,consolidated => true}", []string{"shop_code"}},
		"over more": {[]upgrade.Hop{{From: "1.0.0", To: "1.1.0"}, {From: "1.1.0", To: "1.2.0"}}, "#{log => true,shop => true,consolidated => true}", []string{"shop_code", "log_code"}},
	} {
		t.Run(about, func(t *testing.T) {
			var question string
			g := &gatherer{volume: volumeWith(t, from, over), Request: Request{Client: clientOf(t, found, &question)}}
			g.facts = Facts{From: from, To: to, Prospect: upgrade.Prospect{Hops: c.hops}, Live: &Live{}}
			g.facts.Before = map[string]relup.App{"shop": {Name: "shop"}, "mail": {Name: "mail"}} // mail for its settings
			if err := g.compareNode(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range g.facts.Live.Drift {
				got = append(got, d.Subject)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(g.facts.Unknown) > 0 {
				t.Error(diff, g.facts.Unknown)
			}
			if !strings.Contains(strings.ReplaceAll(question, `\u003e`, ">"), "Only = "+c.scope) {
				t.Errorf("the node was asked for %.300s", question)
			}
		})
	}
}

// TestALibraryOnTheWayIsFoundWhateverItsTypeIs: it does not say how the application starts what the relup reads.
func TestALibraryOnTheWayIsFoundWhateverItsTypeIs(t *testing.T) {
	for _, kind := range []string{"", "permanent", "load", "none", "transient", "temporary", "included"} {
		over := release("1.1.0", volume.Lib{App: "shop", Version: "1.1.0", Type: kind})
		g := &gatherer{volume: volumeWith(t, over)}
		g.facts.Prospect.Hops = []upgrade.Hop{{From: "1.0.0", To: "1.1.0"}, {From: "1.1.0", To: "1.2.0"}}
		if got, want := g.ebin("shop", "1.1.0"), g.volume.Path("lib", "shop-1.1.0", "ebin"); got != want {
			t.Errorf("one of type %q is in %q", kind, got)
		}
		if got := g.ebin("shop", "1.0.9"); got != "" {
			t.Errorf("one that is nowhere is in %q", got)
		}
	}
}
