package rpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc/term"
)

func TestCallReturnsWhatTheFunctionReturns(t *testing.T) {
	n := startErlang(t).connect(t)
	got, err := n.Call(t.Context(), "lists", "reverse", term.List{int64(1), term.Atom("b"), term.Binary("c")})
	if err != nil {
		t.Fatal(err)
	}
	want := term.List{term.Binary("c"), term.Atom("b"), int64(1)}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
