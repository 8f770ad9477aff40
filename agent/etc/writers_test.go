package etc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
)

const (
	strangerUID = 1001
	agentUID    = 1000
)

// TestMain is the agent of another user where a test needs one: it prints what it reads, or why it does not.
func TestMain(m *testing.M) {
	path := os.Getenv("ETC_TEST_READ")
	if path == "" {
		m.Run()
		return
	}
	text, err := Text(path, "")
	if err != nil {
		text = []byte(err.Error())
	}
	fmt.Print(string(text))
}

// TestWhatOthersMayWriteIsNotTrusted, the file no more than the program that it names; the line that mends it does.
func TestWhatOthersMayWriteIsNotTrusted(t *testing.T) {
	path := lay(t, filepath.Join(t.TempDir(), "gates.toml"), "x")
	for _, mode := range []os.FileMode{0o664, 0o646, 0o622, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := []string{
			path + " can be written by its group or by everybody (mode 0" + fmt.Sprintf("%o", mode) + ")", "chmod go-w " + path + " mends it",
		}
		_, err := Text(path, t.TempDir())
		refused(t, mode.String(), err, want...)
		_, err = plugin(path).Order(t.TempDir())
		refused(t, "a plugin of mode "+mode.String(), err, want...)
		mends(t, path, err)
	}
}

// mends does what an error says, after which there is none.
func mends(t *testing.T, path string, wrong error) {
	t.Helper()
	if wrong == nil {
		return // has been told
	}
	_, line, _ := strings.Cut(wrong.Error(), "; ")
	line, _, _ = strings.Cut(line, " mends it")
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", line, err, out)
	}
	if _, err := Text(path, ""); err != nil {
		t.Errorf("after %s: %v", line, err)
	}
}

func TestWhatBelongsToAStrangerIsNotTrusted(t *testing.T) {
	need.Root(t, "to be another user")
	path := lay(t, filepath.Join(t.TempDir(), "gates.toml"), "x")
	for mode, chmod := range map[os.FileMode]string{0o444: "", 0o644: "", 0o666: " && chmod go-w " + path} {
		if err := os.Chown(path, strangerUID, -1); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := []string{path + " belongs to user 1001, who is neither root nor the agent's own", "; chown root " + path + chmod + " mends it"}
		_, err := Text(path, t.TempDir())
		refused(t, mode.String(), err, want...)
		_, err = plugin(path).Order(t.TempDir())
		refused(t, "a plugin of mode "+mode.String(), err, want...)
		mends(t, path, err)
	}
}

// TestAnAgentOfAnyUserTrustsRootAndItself, and nobody else: neither who has no number in its user namespace, whom it sees as 65534.
func TestAnAgentOfAnyUserTrustsRootAndItself(t *testing.T) {
	need.Root(t, "to be another user")
	path := lay(t, filepath.Join(t.TempDir(), "gates.toml"), "x")
	for dir := filepath.Dir(path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for owner, want := range map[int]string{0: "x", agentUID: "x", strangerUID: "belongs to user 1001", 65534: "belongs to user 65534"} {
		if err := os.Chown(path, owner, -1); err != nil {
			t.Fatal(err)
		}
		if got := readAs(t, path, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: agentUID, Gid: agentUID}}); !strings.Contains(got, want) {
			t.Errorf("of user %d: %q, not %q", owner, got, want)
		}
	}
	if err := os.Chown(path, strangerUID, -1); err != nil {
		t.Fatal(err)
	}
	namespace := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: 0, Size: 1}},
	}
	if got := readAs(t, path, namespace); !strings.Contains(got, "belongs to user 65534") {
		t.Errorf("of a user who is not mapped: %q", got)
	}
}

// readAs is what an agent says that reads the file.
func readAs(t *testing.T, path string, as *syscall.SysProcAttr) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env, cmd.SysProcAttr = append(os.Environ(), "ETC_TEST_READ="+path), as
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestAMountThatIsReadOnlyMayBelongToAnybody: who runs the container mounts files of his own. What everybody may write where it comes from is
// refused all the same.
func TestAMountThatIsReadOnlyMayBelongToAnybody(t *testing.T) {
	need.Root(t, "to be another user")
	dir := t.TempDir()
	path := lay(t, filepath.Join(dir, "gates.toml"), "x")
	if err := os.Chown(path, strangerUID, -1); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		need.Missing(t, "the right to mount")
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	_, err := Text(path, "")
	refused(t, "mounted writable", err, "belongs to user 1001")
	for mode, want := range map[os.FileMode]string{0o644: "", 0o666: "chmod go-w"} {
		remount(t, dir, 0)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		remount(t, dir, unix.MS_RDONLY)
		_, err := Text(path, "")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "chown")) {
			t.Errorf("%v: %v, want %q", mode, err, want)
		}
	}
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|flags, ""); err != nil {
		t.Fatal(err)
	}
}
