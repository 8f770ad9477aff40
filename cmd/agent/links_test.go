package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestTheAgentLinksNothingOfPlugins: what they need would be initialised at each start.
func TestTheAgentLinksNothingOfPlugins(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil || !strings.Contains(string(out), "theseus/agent/plugin/host") {
		t.Fatalf("%v: %s", err, out)
	}
	for _, pkg := range []string{"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/hashicorp/go-plugin"} {
		if strings.Contains(string(out), pkg) {
			t.Errorf("it links %s", pkg)
		}
	}
}
