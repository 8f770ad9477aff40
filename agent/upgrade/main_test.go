package upgrade

import (
	"os"
	"testing"
)

// TestMain puts the volumes into memory where there is a place for that: to sync hundreds of them to a disk takes
// longer than everything else here.
func TestMain(m *testing.M) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		os.Setenv("TMPDIR", "/dev/shm")
	}
	m.Run()
}
