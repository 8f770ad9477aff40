package main

import (
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"theseus/agent/trust"
	"theseus/agent/trust/trusttest"
)

// signers are the keys that scripts have made, by the directory where the public halves are.
var signers sync.Map

// newKey makes a key that is trusted: newkey DIRECTORY.
func newKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newkey DIRECTORY")
	}
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o755))
	key, err := trusttest.NewKey(ts.MkAbs(args[0]))
	ts.Check(err)
	signers.Store(ts.MkAbs(args[0]), key)
}

// sign makes PACKAGE.minisig with the last key of a directory: sign DIRECTORY PACKAGE COMMENT.
func sign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sign DIRECTORY PACKAGE COMMENT")
	}
	key, made := signers.Load(ts.MkAbs(args[0]))
	if !made {
		ts.Fatalf("%s has no key", args[0])
	}
	content, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1])+trust.Suffix, []byte(key.(trusttest.Key).Sign(content, args[2])), 0o644))
}
