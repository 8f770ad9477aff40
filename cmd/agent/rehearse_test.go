package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"theseus/agent/rehearse"
)

// TestARehearsalTakesPackagesFromWhereverAnUpgradeDoes: one from a directory, one from the web, and neither a file nor a secret stays.
func TestARehearsalTakesPackagesFromWhereverAnUpgradeDoes(t *testing.T) {
	packages := makePackages(t)
	web := httptest.NewServer(http.FileServer(http.Dir(packages)))
	defer web.Close()
	content, err := os.ReadFile(filepath.Join(packages, "cnt-1.1.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	old, tmp := t.TempDir(), t.TempDir()
	if err := os.Rename(filepath.Join(packages, "cnt-1.0.0.tar.gz"), filepath.Join(old, "cnt-1.0.0.tar.gz")); err != nil {
		t.Fatal(err)
	}
	url := web.URL + "/cnt-1.1.0.tar.gz"
	var out bytes.Buffer
	command := exec.CommandContext(t.Context(), "agent", "rehearse", "--quick", "--json", "--dir", os.TempDir(), old, fmt.Sprintf("%s?token=hunter2#sha256=%x", url, sha256.Sum256(content)))
	command.Env, command.Stdout, command.Stderr = append(os.Environ(), "TMPDIR="+tmp, "AGENT_SETTLE=100ms"), &out, t.Output()
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	var report rehearse.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	if !report.Passed || report.Old.Package != old || report.New.Package != url {
		t.Errorf("the report is %s", out.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
