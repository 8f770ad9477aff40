package rpc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theseus/rpc"
	"theseus/rpc/term"
)

func TestARecordThatReleaseHandlerInventedIsReplaced(t *testing.T) {
	r := makeRoot(t)
	records := filepath.Join(r.dir, "releases", "RELEASES")
	text, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(records); err != nil {
		t.Fatal(err)
	}
	n := r.boot(t, "1.0.0").connect(t)
	waitFor(t, "the release to run", func() bool {
		_, provided, err := n.InitStatus(t.Context())
		return err == nil && provided == "started"
	})
	counter(t, n, "next")
	if got, err := n.WhichReleases(t.Context()); err != nil || len(got) != 1 || len(got[0].Libs) > 0 {
		t.Fatalf("without RELEASES it has %+v, %v", got, err)
	}
	if err := os.WriteFile(records, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.ReadReleases(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := statuses(t, n); got["1.0.0"] != rpc.Permanent { // which looks at the applications as well
		t.Errorf("it has %v", got)
	}
	if got := counter(t, n, "state"); got != "{state,1}" {
		t.Errorf("the state is %s", got)
	}
}

func TestConsolidatedProtocolsFollowTheRelease(t *testing.T) {
	r := makeRoot(t)
	dir := func(version string) string { return filepath.Join(r.dir, "releases", version, "consolidated") }
	compiler := start(t, boot{program: "erl", name: "-name", host: "127.0.0.1", dir: r.dir}).connect(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if err := os.MkdirAll(dir(version), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, module := range []string{"p", "q_" + version[2:3]} {
			source := filepath.Join(r.dir, module+".erl")
			text := "-module(" + module + ").\n-export([v/0]).\nv() -> '" + version + "'.\n"
			if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			call(t, compiler, "compile", "file", term.String(source), term.List{term.Tuple{term.Atom("outdir"), term.String(dir(version))}})
		}
	}
	n := r.boot(t, "1.0.0").connect(t)
	waitFor(t, "the release to run", func() bool {
		_, provided, err := n.InitStatus(t.Context())
		return err == nil && provided == "started"
	})
	call(t, n, "code", "add_patha", term.String(r.dir+"/lib/../releases/1.0.0/consolidated")) // as mix's boot script has it
	call(t, n, "code", "load_file", term.Atom("p"))
	for _, version := range []string{"1.1.0", "1.1.0", "1.0.0", "1.1.0"} {
		if err := n.UseConsolidated(t.Context(), dir(version), []string{"p", "q_0", "q_1"}); err != nil {
			t.Fatal(err)
		}
		if got := call(t, n, "p", "v"); got != term.Term(term.Atom(version)) {
			t.Errorf("of %s it runs %v", version, got)
		}
		if path := term.Format(call(t, n, "code", "get_path")); strings.Count(path, "/consolidated") != 1 || !strings.HasPrefix(path, `["`+dir(version)) {
			t.Errorf("the code path is %s", path)
		}
	}
}
