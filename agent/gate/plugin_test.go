package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/agent/plugin/host"
	"theseus/integration/need"
	"theseus/integration/program"
)

// TestSourcesFetchWholePackagesOrSayWhyNot, and nothing is left of those that do not end.
func TestSourcesFetchWholePackagesOrSayWhyNot(t *testing.T) {
	r := newRig(t)
	env := r.Env
	for act, want := range map[string]string{
		"ok": "", "only a source": "",
		"refuses":          "there is no demo-1.1.0",
		"empty":            "it has sent 0 bytes of 0",
		"crashes":          "(Unavailable)",
		"crashes at start": "cannot start the plugin",
		"hangs":            "context deadline exceeded",
	} {
		t.Run(act, func(t *testing.T) {
			before := r.left()
			h := r.Host
			h.Env = append(env[:len(env):len(env)], "ACT="+act)
			limit := patience
			if act == "hangs" {
				limit = 2 * brief
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			var pkg bytes.Buffer
			err := h.Fetch(ctx, host.Order{Program: host.Program{Path: r.actor, SHA256: r.digest}, Reference: "demo-1.1.0"}, &pkg)
			if want == "" && (err != nil || pkg.Len() != 6_400_000) {
				t.Errorf("%d bytes, %v", pkg.Len(), err)
			}
			if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("it says %v, not %q", err, want)
			}
			r.leavesNothing(t, before)
		})
	}
}

// TestAPluginIsWrittenInAnyLanguage: the example in Python, and the template in Go.
func TestAPluginIsWrittenInAnyLanguage(t *testing.T) {
	r := newRig(t)
	template := filepath.Join(filepath.Dir(r.actor), "template")
	program.Build(t, template, "theseus/agent/plugin/template")
	python, err := filepath.Abs("../plugin/python/gate.py")
	if err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, mtls := range map[string]bool{template: true, python: false} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if path == python && exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import grpc").Run() != nil {
				need.Missing(t, "python3-grpcio")
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string]string{there: there + " is there", there + ".not": ""} {
				before := r.left()
				gate := fmt.Sprintf("plugin = {path = %q, sha256 = \"%x\", mtls = %t, config = {file = %q}}", path, sha256.Sum256(text), mtls, file)
				took, err := r.asks(t, patience, gate, nil)
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s: %v, after %s", file, err, took)
				}
				r.leavesNothing(t, before)
			}
		})
	}
}
