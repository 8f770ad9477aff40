package rpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc"
	"theseus/rpc/term"
)

func TestArgumentsMayEndWithAPeriod(t *testing.T) {
	for text, want := range map[string][]term.Term{
		"": nil, "[]": {}, "[].": {}, "[1, a]": {int64(1), term.Atom("a")}, "[1, a]. ": {int64(1), term.Atom("a")}, `"ab"`: {int64('a'), int64('b')},
	} {
		got, err := rpc.ParseArgs(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"[]..", "[] []", "{a}", "[1", "."} {
		if got, err := rpc.ParseArgs(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
