package volume

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestAFullVolumeStillBoots: state.json cannot be written any more, and what OTP has torn is made whole all the same.
func TestAFullVolumeStillBoots(t *testing.T) {
	root := t.TempDir()
	mountSmall(t, root, "size=512k") // too small for a ballast
	v := open(t, root)
	publish(t, v, thin("1.0.0"))
	must(t, v.Seed("1.0.0", v.State().Releases["1.0.0"].Package))
	must(t, v.Begin(Operation{Kind: "upgrade", From: "1.0.0", To: "1.1.0", Phase: "installing"}))
	write(t, v.Path("releases/RELEASES"), "[{release,")
	write(t, v.Path("releases/start_erl.data"), "13.1")
	fill(t, v)

	v = crash(t, v)
	if _, err := v.Recover(); err != nil {
		t.Error(err)
	}
	if err := v.Abort(nil); !isFull(err) {
		t.Errorf("the disk is not full: %v", err)
	}
	must(t, v.Derive("1.0.0"))
	if got := read(t, v.Path("releases/start_erl.data")); got != "13.1.5 1.0.0" {
		t.Errorf("start_erl.data = %q", got)
	}
	if got := read(t, v.Path("releases/RELEASES")); !strings.HasSuffix(got, "permanent}].\n") {
		t.Errorf("RELEASES = %q", got)
	}
	must(t, v.Verify("1.0.0"))
}

// TestTheBallastMakesRoomForTheRecords: an upgrade that filled the volume is taken back, and that is recorded.
func TestTheBallastMakesRoomForTheRecords(t *testing.T) {
	root := t.TempDir()
	mountSmall(t, root, "size=6m")
	v := open(t, root)
	publish(t, v, thin("1.0.0"))
	must(t, v.Seed("1.0.0", v.State().Releases["1.0.0"].Package))
	must(t, v.Begin(Operation{Kind: "upgrade", From: "1.0.0", To: "1.1.0", Phase: "installing"}))
	recovered(t, v)
	if info, err := os.Stat(v.ballastPath()); err != nil || info.Size() != ballastBytes {
		t.Fatalf("there is no ballast: %v", err)
	}
	fill(t, v)
	must(t, v.Abort(nil))
	must(t, v.Derive("1.0.0"))
	if s := crash(t, v).State(); s.Operation != nil {
		t.Errorf("the operation is still recorded: %+v", s.Operation)
	}
	if _, err := os.Stat(v.ballastPath()); err == nil {
		t.Error("the ballast is still there")
	}
	must(t, os.Remove(v.Path("log", "filler")))
	recovered(t, v)
	if _, err := os.Stat(v.ballastPath()); err != nil {
		t.Errorf("there is no ballast again: %v", err)
	}
}

func recovered(t *testing.T, v *Volume) {
	t.Helper()
	_, err := v.Recover()
	must(t, err)
}

// TestAVolumeThatCanHoldNoMoreFilesSaysSo: bytes are left, inodes are not.
func TestAVolumeThatCanHoldNoMoreFilesSaysSo(t *testing.T) {
	root := t.TempDir()
	mountSmall(t, root, "size=6m,nr_inodes=24")
	v := open(t, root)
	pkg := receive(t, v, pack(t, thin("1.0.0")))
	before := list(t, root)
	_, err := v.Stage(t.Context(), pkg, "demo", nil)
	refusal := refusedWith(t, err, NoSpace)
	if !strings.Contains(refusal.Error(), "it can hold no more files") {
		t.Error(refusal)
	}
	if diff := cmp.Diff(before, list(t, root)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// mountSmall mounts a file system of a few blocks, which takes root.
func mountSmall(t *testing.T, dir, options string) {
	t.Helper()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, options)
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("mount needs root")
	}
	must(t, err)
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
}

// fill takes what is left to the last block.
func fill(t *testing.T, v *Volume) {
	t.Helper()
	f, err := os.Create(v.Path("log", "filler"))
	must(t, err)
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !isFull(err) {
		t.Fatal(err)
	}
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
