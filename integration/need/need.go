// Package need says what becomes of a test on a machine that lacks something for it.
package need

import (
	"os"
	"os/exec"
)

// Test is the part of testing.TB that is needed here.
type Test interface {
	Helper()
	Name() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Missing skips a test for want of something; where CI is true it fails it instead, so that no test is left out unseen.
func Missing(t Test, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s needs %s", t.Name(), what)
	}
	t.Skipf("%s needs %s", t.Name(), what)
}

// Tool is where a program is that a test needs.
func Tool(t Test, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, name)
	}
	return path
}

// Root is for a test that is another user, or asks the kernel for what only root gets.
func Root(t Test, what string) {
	t.Helper()
	if os.Getuid() != 0 {
		Missing(t, "root, "+what)
	}
}
