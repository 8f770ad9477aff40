// Package need says what becomes of a test on a machine that lacks something for it.
package need

import "os"

// Test is the part of testing.TB that Missing needs.
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
