package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"theseus/integration/images"
	"theseus/integration/need"
	"theseus/integration/ship"
)

// TestAnUpgradeOnAVolumeThatIsTooSmallLeavesTheOldRelease: whatever is free, the upgrade goes through or all is as it was,
// and what it took is given back.
func TestAnUpgradeOnAVolumeThatIsTooSmallLeavesTheOldRelease(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		s := ship.Build(t, set)
		s.Volume = smallDisk(t)
		s.Replace(set.Image)
		s.Serves(images.Seed)
		hasRunWell(s)
		before := releases(s)
		filler := filler{t, filepath.Join(s.Volume, "log")}
		refused := map[string]bool{}
		for _, free := range []struct {
			of    string
			leave int64
			take  func(leave int64)
		}{
			{"files", 0, filler.files},
			{"files", 3, filler.files},
			{"files", 8, filler.files},
			{"bytes", 0, filler.bytes},
			{"bytes", 32 << 10, filler.bytes},
			{"bytes", 64 << 10, filler.bytes},
			{"bytes", 128 << 10, filler.bytes},
			{"bytes", 4 << 20, filler.bytes},
		} {
			node := s.Status().Node
			free.take(free.leave)
			a := s.Upgrade(s.Package(images.Second))
			if a.Status == 0 && free.of == "bytes" {
				break // only what the volume does not have needs room
			}
			refused[free.of] = true
			if a.Status != 3 || !strings.Contains(a.Stderr, "volume") || !strings.Contains(a.Stderr, "demo 1.0.0 still runs, nothing was changed") {
				t.Errorf("with %d %s free: exit status %d\n%s", free.leave, free.of, a.Status, a.Stderr)
			}
			if now := s.Status().Node; now.PID != node.PID {
				t.Errorf("with %d %s free the node was restarted", free.leave, free.of)
			}
			s.Must(s.Restart(t.Context(), ship.Grace))
			s.Serves(images.Seed)
			filler.empty()
			if diff := cmp.Diff(before, releases(s)); diff != "" {
				t.Errorf("with %d %s free the volume changed (-before +after):\n%s", free.leave, free.of, diff)
			}
		}
		s.Serves(images.Second)
		if !refused["files"] || !refused["bytes"] {
			t.Errorf("refused for want of %v", refused)
		}
	})
}

// releases is the volume without what each start of the agent writes.
func releases(s *ship.Ship) []string {
	s.T.Helper()
	return slices.DeleteFunc(disk(s), func(line string) bool { return strings.HasSuffix(line, "/.agent/lock") })
}

// smallDisk is a file system of 12 MiB and few files, for the user of the container.
func smallDisk(t *testing.T) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil || os.Getuid() != 0 {
		need.Missing(t, "root and mkfs.ext4")
	}
	f, err := os.Create(image)
	if err == nil {
		err = f.Truncate(12 << 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	tool(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-N", "256", "-E", "root_owner=1000:1000", image)
	tool(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { tool(t, "umount", "-l", dir) })
	if err := os.Remove(filepath.Join(dir, "lost+found")); err != nil {
		t.Fatal(err)
	}
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("cannot run %s: %v\n%s", name, err, out)
	}
}

// filler takes room on a volume, as a log does that nobody rotates.
type filler struct {
	t   *testing.T
	dir string
}

func (f filler) free() unix.Statfs_t {
	f.t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(f.dir, &s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// bytes leaves so many to a user.
func (f filler) bytes(leave int64) {
	f.t.Helper()
	s := f.free()
	size := int64(s.Bavail)*s.Bsize - leave
	if err := os.WriteFile(filepath.Join(f.dir, "filler"), make([]byte, max(0, size)), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// files leaves so many to everybody.
func (f filler) files(leave int64) {
	f.t.Helper()
	for n := int64(f.free().Ffree); n > leave; n-- {
		if err := os.WriteFile(filepath.Join(f.dir, fmt.Sprint("filler-", n)), nil, 0o644); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f filler) empty() {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(f.dir, "filler*"))
	if err != nil {
		f.t.Fatal(err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			f.t.Fatal(err)
		}
	}
}
