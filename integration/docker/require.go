package docker

import (
	"context"
	"os"
)

// Test is the part of testing.TB that Require needs.
type Test interface {
	Helper()
	Name() string
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require skips a test on a machine without a docker engine; where CI is true, it fails it instead, so
// that an integration test is never left out unseen.
func Require(t Test) {
	t.Helper()
	_, err := Output(context.Background(), "version", "--format", "{{.Server.Version}}")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s needs docker: %v", t.Name(), err)
	default:
		t.Skipf("%s needs docker: %v", t.Name(), err)
	}
}
