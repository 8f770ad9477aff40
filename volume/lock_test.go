package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"theseus/integration/need"
)

// TestMain lets another process, maybe of another user, open a volume, and ask of its file system what nothing else does.
func TestMain(m *testing.M) {
	root := os.Getenv("VOLUME_TEST_OPEN")
	if root == "" {
		m.Run()
		return
	}
	begun := time.Now()
	v, err := Open(root)
	if err == nil {
		_, full := v.disk.Free(root)
		err = errors.Join(full, v.lock.SyncFS("sync the stage"))
	}
	fmt.Printf("%v\nafter %d ms\n", err, time.Since(begun).Milliseconds())
}

// openElsewhere is what a process of a user is told, and after how many milliseconds.
func openElsewhere(t *testing.T, root string, uid uint32) (told string, after int) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "volume.test")
	must(t, copyFile(os.Args[0], binary))
	for dir := filepath.Dir(binary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), "VOLUME_TEST_OPEN="+root)
	if int(uid) != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, err := cmd.CombinedOutput()
	told, rest, _ := strings.Cut(string(out), "\nafter ")
	if _, scanned := fmt.Sscanf(rest, "%d ms", &after); err != nil || scanned != nil {
		t.Fatalf("%v, %v: %s", err, scanned, out)
	}
	return told, after
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func TestASecondAgentIsToldAtOnceWhoHoldsTheVolume(t *testing.T) {
	v := seeded(t)
	must(t, v.Close())
	v, err := OpenAs(v.root, "1.2.3")
	must(t, err)
	defer v.Close()
	fastest := 1 << 30
	for range 20 { // of a machine with much else to do
		told, after := openElsewhere(t, v.root, uint32(os.Getuid()))
		host, err := os.Hostname()
		must(t, err)
		for _, want := range []string{"cannot open the volume " + v.root, "another agent holds it", fmt.Sprintf("pid %d in container %s since 2", os.Getpid(), host), "agent 1.2.3"} {
			if !strings.Contains(told, want) {
				t.Fatalf("%q is not in %q", want, told)
			}
		}
		if fastest = min(fastest, after); fastest < 100 {
			return
		}
	}
	t.Errorf("it was told after %d ms", fastest)
}

func TestAnOwnerThatDidNotGiveTheVolumeBackIsNamed(t *testing.T) {
	v, err := OpenAs(filepath.Join(t.TempDir(), "release"), "1.2.3")
	must(t, err)
	if owner, stale := v.TakenOver(); stale {
		t.Errorf("a new volume was taken over from %s", owner)
	}
	v = crash(t, v)
	owner, stale := v.TakenOver()
	if host, err := os.Hostname(); !stale || err != nil || owner.PID != os.Getpid() || owner.Host != host || owner.Agent != "1.2.3" {
		t.Errorf("after a crash: %+v, %v, %v", owner, stale, err)
	}
	must(t, v.Close())
	v = open(t, v.root)
	if owner, stale := v.TakenOver(); stale {
		t.Errorf("after an orderly end: %s", owner)
	}
	// What an agent before this one has written, and what a full disk leaves, is nobody.
	for _, text := range []string{"pid 7 in container abc since 2026", "", "{"} {
		write(t, v.agentPath("lock"), text)
		v = crash(t, v)
		if owner, stale := v.TakenOver(); stale {
			t.Errorf("of %q: %s", text, owner)
		}
	}
}

func TestAVolumeOfAnotherUserIsToldWithWhatMendsIt(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestAVolumeOfAnotherUserIsToldWithWhatMendsIt needs root, to be another user")
	}
	root := filepath.Join(t.TempDir(), "release")
	must(t, os.Mkdir(root, 0o755))
	told, _ := openElsewhere(t, root, 1000)
	if want := root + " belongs to uid 0 and has mode 0755, the agent runs as uid 1000: chown -R 1000:1000 " + root; !strings.Contains(told, want) || strings.Contains(told, "\n") {
		t.Errorf("got  %s\nwant …%s", told, want)
	}
	// What the command is run on is the agent's again.
	must(t, os.Chown(root, 1000, 1000))
	if told, _ := openElsewhere(t, root, 1000); told != "<nil>" {
		t.Error(told)
	}
	must(t, os.Chown(filepath.Join(root, agentDir), 0, 0))
	if told, _ := openElsewhere(t, root, 1000); !strings.Contains(told, root+"/.agent belongs to uid 0 and has mode 0700") {
		t.Error(told)
	}
}

// TestWhatASignalInterruptsIsDoneAgain: each call that is not os's own, in a process of its own whose first ones are interrupted.
func TestWhatASignalInterruptsIsDoneAgain(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	args := []string{"-f", "-qq", "-o", calls, "-e", "trace=flock,statfs,syncfs", "-e", "inject=flock,statfs,syncfs:error=EINTR:when=1..2", os.Args[0]}
	cmd := exec.CommandContext(t.Context(), need.Tool(t, "strace"), args...)
	cmd.Env = append(os.Environ(), "VOLUME_TEST_OPEN="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "<nil>\n") {
		t.Errorf("%v: %s", err, out)
	}
	text, err := os.ReadFile(calls)
	must(t, err)
	for _, call := range []string{"flock(", "statfs(", "syncfs("} {
		if !regexp.MustCompile(regexp.QuoteMeta(call) + `.*\(INJECTED\)`).Match(text) {
			t.Errorf("no %s) was interrupted:\n%s", call, text)
		}
	}
}
