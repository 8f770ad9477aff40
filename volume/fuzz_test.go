package volume

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc/term"
)

// spends holds what is done to the memory that bytes of input may take. Some is free: pools are filled, and the fuzzer allocates beside it.
func spends(t *testing.T, input, free, each int, do func()) {
	t.Helper()
	allocated := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(allocated)
	before := allocated[0].Value.Uint64()
	do()
	metrics.Read(allocated)
	if took := allocated[0].Value.Uint64() - before; took > uint64(free+each*input) {
		t.Errorf("%d bytes of input took %d", input, took)
	}
}

// FuzzState: what is read is written as it was, and leads nowhere but below the root.
func FuzzState(f *testing.F) {
	full := State{
		Schema: 4, Generation: 7, Current: "1.1.0", Previous: "1.0.0", Via: []string{"1.0.1"}, Left: "0.9.0",
		Operation: &Operation{ID: "x", Kind: "upgrade", From: "1.1.0", To: "1.2.0", Via: []string{"1.1.1"}, Phase: "probation"},
		Releases:  map[string]Release{"1.1.0": {Name: "demo", Version: "1.1.0", ERTS: "13.1.5", Package: digestOf(nil), Libs: []Lib{{App: "demo", Version: "1.1.0", Type: "load"}}, Own: []string{"lib/demo-1.1.0"}, Signer: Signer{Key: "K", Comment: "c"}}},
		Failed:    map[string]Failure{"0.9.0": {Upgrade: "u", Reason: "r"}}, Seeds: []string{"s"}, Removed: []string{"r"},
	}
	for _, s := range []State{full, {Schema: 1, Releases: map[string]Release{}, Failed: map[string]Failure{}}} {
		text, err := json.Marshal(s)
		must(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		content := fmt.Appendf(nil, `{"sha256":%q,"state":%s}`, digestOf(state), state)
		s, err := decodeState(content)
		if err != nil {
			if !errors.Is(err, ErrDamagedState) && !errors.Is(err, ErrNewerState) {
				t.Error(err)
			}
			return
		}
		for _, r := range s.Releases {
			for _, tree := range append(r.needs(), agentDir+"/packages/"+r.Package+".tar.gz") {
				if !filepath.IsLocal(tree) || filepath.Clean(tree) != tree || strings.Count(tree, "/") > 2 {
					t.Errorf("it needs %q", tree)
				}
			}
		}
		once, err := encodeState(s)
		if err != nil {
			return // a time in the year 10000
		}
		again, err := decodeState(once)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", once, err)
		}
		if twice, err := encodeState(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%s became %s, %v", once, twice, err)
		}
		if spoilt := bytes.Replace(once, []byte(`"schema":`), []byte(`"schema" :`), 1); len(spoilt) > len(once) {
			if _, err := decodeState(spoilt); !errors.Is(err, ErrDamagedState) {
				t.Errorf("another text has the same checksum: %v", err)
			}
		}
	})
}

// FuzzRel: what is in a .rel can stand for files, and what is accepted comes back from RELEASES.
func FuzzRel(f *testing.F) {
	f.Add([]byte(thin("1.0.0")[5].content))
	f.Add([]byte(`{release,{"a","1"},{erts,"13"},[{kernel,"1",permanent},{b,"2",load,[c]},{'C d',"3",[x]}]}.`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Release
		var err error
		spends(t, len(text), 4<<20, 600, func() { r, err = parseRel(text) })
		if err != nil {
			return
		}
		for _, tree := range append(r.needs(), releaseDir+"/"+r.Version+"/"+r.Name+".rel") {
			if !filepath.IsLocal(tree) || filepath.Clean(tree) != tree || strings.ContainsFunc(tree, isControl) {
				t.Errorf("it needs %q", tree)
			}
		}
		if len(r.Libs) == 0 || isReserved(r.Version) {
			t.Errorf("accepted: %+v", r)
		}
	})
}

// FuzzReleases: RELEASES says of any two releases what is recorded of them, in an order, one of them permanent.
func FuzzReleases(f *testing.F) {
	rel := thin("1.0.0")[5].content
	f.Add([]byte(rel), []byte(strings.ReplaceAll(rel, "1.0.0", "1.1.0")), true)
	f.Add([]byte(`{release,{"a\\\"","ż"},{erts,"13"},[{'A b\'',"\x{1F422}"}]}.`), []byte(rel), false)
	f.Fuzz(func(t *testing.T, one, two []byte, second bool) {
		state := State{Releases: map[string]Release{}}
		boot := ""
		for _, text := range [][]byte{one, two} {
			r, err := parseRel(text)
			if err != nil {
				return
			}
			state.Releases[r.Version] = r
			if boot == "" || second {
				boot = r.Version
			}
		}
		text := encodeReleases(state, boot)
		read, err := onlyTerm([]byte(text))
		if err != nil {
			t.Fatalf("%s cannot be read: %v", text, err)
		}
		records, _ := read.(term.List)
		if len(records) != len(state.Releases) {
			t.Fatalf("%s has %d releases, not %d", text, len(records), len(state.Releases))
		}
		for n, record := range records {
			fields, _ := record.(term.Tuple)
			if len(fields) != 6 {
				t.Fatalf("%s is no record", term.Format(record))
			}
			version, _ := term.AsString(fields[2])
			want := releaseRecord(state.Releases[version], otpStatus(state, version, boot))
			if term.Format(record) != term.Format(want) || (fields[5] == term.Atom("permanent")) != (n == 0) {
				t.Errorf("number %d is %s, not %s", n, term.Format(record), term.Format(want))
			}
		}
	})
}

// FuzzStartErl: what is read names a directory each, and is written as it was but for the white space around it.
func FuzzStartErl(f *testing.F) {
	for _, text := range []string{"13.1.5 1.1.0", "15.2.7 " + HybridPrefix + "1.0.0\n", "", "13.1.5", "../.. /etc", " a  b"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		next, ok := parseStartErl(text)
		if !ok {
			return
		}
		for _, path := range []string{ertsPrefix + next.ERTS, releaseDir + "/" + next.Version} {
			if !filepath.IsLocal(path) || filepath.Clean(path) != path {
				t.Errorf("%q leads to %q", text, path)
			}
		}
		if again, ok := parseStartErl([]byte(next.String())); !ok || again != next || next.String() != strings.TrimSpace(string(text)) {
			t.Errorf("%q is %q, and that %q", text, next, again)
		}
	})
}

// FuzzConfig: a sys.config that is accepted is one in its own words too, and none that OTP would take for an empty one.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{`[{demo,[{version,"1.0.0"}]}].`, `["other.config",{kernel,[{logger,[{handler,default,logger_std_h,#{level => info}}]}]}].`, "[].", "[demo]."} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var err error
		spends(t, len(text), 4<<20, 600, func() { err = parseConfig(text) })
		if err != nil {
			return
		}
		read, err := onlyTerm(text)
		must(t, err)
		if again := term.Format(read) + "."; parseConfig([]byte("%% coding: utf-8\n"+again)) != nil {
			t.Errorf("%q is a configuration, and %q is none: %v", text, again, parseConfig([]byte(again)))
		}
		if _, isList := read.(term.List); !isList {
			t.Errorf("%q is no list", text)
		}
	})
}

// FuzzRelup: what is accepted is the same when it is written and read once more.
func FuzzRelup(f *testing.F) {
	for _, text := range []string{
		`{"1.1.0",[{"1.0.0",[],[{load_object_code,{demo,"1.1.0",[demo]}},point_of_no_return,{suspend,[demo]}]},{"0.9.0","by restart",[restart_new_emulator]}],[{"1.0.0",[],[]}]}.`,
		`{"1",[],[]}.`, `{"1",[{"0",{a,b},[]}],[]}.`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r *Relup
		var err error
		spends(t, len(text), 4<<20, 600, func() { r, err = ParseRelup(text) })
		if err != nil {
			return
		}
		up, down := r.Edges()
		if len(up) != len(r.Up) || len(down) != len(r.Down) {
			t.Errorf("%d ways up and %d down are %d and %d", len(r.Up), len(r.Down), len(up), len(down))
		}
		again, err := ParseRelup([]byte("%% coding: utf-8\n" + formatRelup(r)))
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", formatRelup(r), err)
		}
		if first, second := formatRelup(r), formatRelup(again); first != second {
			t.Errorf("%s became %s", first, second)
		}
	})
}

func formatRelup(r *Relup) string {
	edges := func(edges []RelupEdge) term.List {
		list := term.List{}
		for _, e := range edges {
			list = append(list, term.Tuple{textOf(e.Version), textOf(e.Descr), term.List(e.Instructions)})
		}
		return list
	}
	return term.Format(term.Tuple{textOf(r.To), edges(r.Up), edges(r.Down)}) + "."
}

// textOf is a string, which Erlang does not tell from a list.
func textOf(s string) term.Term {
	if s == "" {
		return term.List{}
	}
	return term.String(s)
}

// FuzzManifest: a MANIFEST that is read is written as it was read.
func FuzzManifest(f *testing.F) {
	f.Add(encodeManifest([]entry{{Path: "lib/demo-1/ebin/demo.app", Mode: 0o644, Size: 3, Sum: digestOf([]byte("abc"))}, linkEntry("lib/demo-1/żółw \"x\"", "ebin")}))
	f.Add([]byte("644 1 x \"y\"\n644 1"))
	f.Add([]byte("1000 0  \"\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := decodeManifest(text)
		if err != nil {
			return
		}
		again, err := decodeManifest(encodeManifest(entries))
		if diff := cmp.Diff(entries, again); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// FuzzCode: what the beginning of a file says of its machine or its instructions is read within it.
func FuzzCode(f *testing.F) {
	f.Add([]byte("FOR1\x00\x00\x00\x20BEAMAtU8\x00\x00\x00\x01x\x00\x00\x00Code\x00\x00\x00\x10\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\xb4"))
	f.Add([]byte("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 100)))
	f.Fuzz(func(t *testing.T, head []byte) {
		head = head[:min(len(head), headBytes)]
		before := bytes.Clone(head)
		spends(t, len(head), 4<<20, 64, func() {
			if _, loader, ok := readELF(head); ok && len(loader) > 4096 {
				t.Errorf("its loader is %q", loader)
			}
			if _, ok := newestInstruction(head); ok && !bytes.Contains(head, []byte("Code")) {
				t.Error("it has an instruction, and no code")
			}
		})
		if !bytes.Equal(before, head) {
			t.Error("it was changed")
		}
	})
}
