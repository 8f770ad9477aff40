package rpc_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"theseus/rpc"
	"theseus/rpc/term"
)

func TestErrorsDoNotCarryTheStateOfAProcess(t *testing.T) {
	state := term.Tuple{term.Atom("code_change_failed"), term.Atom("pid"), term.Atom("shop"), term.String("1"), term.String(strings.Repeat("ü", 1<<20))}
	for about, err := range map[string]error{
		"release_handler": &rpc.ReleaseError{Call: "install_release", Version: "1.1.0", Reason: state},
		"rpc":             &rpc.BadRPCError{Module: "shop", Function: "total", Reason: term.Tuple{term.Atom("EXIT"), state}},
	} {
		text := err.Error()
		if len(text) > 10_000 || !utf8.ValidString(text) || !strings.HasSuffix(text, "more") {
			t.Errorf("%s: %d bytes: %.100s … %s", about, len(text), text, text[len(text)-50:])
		}
	}
}
