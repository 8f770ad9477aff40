// Package program builds programs of this module for tests that run them.
package program

import (
	"os"
	"os/exec"
	"testing"
)

// Build makes the program of a package, "theseus/cmd/agent" for one, at a path: a static one, as it is in an image. Nobody else may write it,
// whatever the umask says: the agent would not run it as a plugin.
func Build(t testing.TB, path, pkg string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", pkg, err, out)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}
