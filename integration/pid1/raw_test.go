package pid1

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"theseus/integration/terminal"
)

func TestTheCommandsExitCodeIsTheAgents(t *testing.T) {
	for _, code := range []int{0, 1, 2, 32, 64, 126, 127, 128, 254, 255} {
		start(t, scene{command: shell(fmt.Sprintf("exit %d", code))}).ends(code)
	}
}

func TestDeathBySignalIs128AndItsNumber(t *testing.T) {
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGKILL, unix.SIGSEGV, 40} {
		start(t, scene{command: shell(fmt.Sprintf("ulimit -c 0; kill -%d $$", sig))}).ends(128 + int(sig))
	}
}

// write makes a file to be executed, or not.
func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func TestACommandThatCannotStartSaysWhichAndWhyInALine(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/plain", "no program", 0o644)
	write(t, dir+"/garbage", "\x7fELF garbage", 0o755)
	write(t, dir+"/orphan", "#!/no/such/interpreter\n", 0o755)
	for _, c := range []struct {
		command, path string
		status        int
		says          string
	}{
		{"/no/such", "", 127, "/no/such: no such file or directory"},
		{"nosuch", "/bin", 127, "nosuch: no such file or directory"},
		{dir + "/plain/below", "", 127, dir + "/plain/below: not a directory"},
		{dir + "/plain", "", 126, dir + "/plain: permission denied"},
		{dir, "", 126, dir + ": permission denied"},
		{dir + "/garbage", "", 126, dir + "/garbage: exec format error"},
		{"garbage", dir, 126, dir + "/garbage: exec format error"},
		{dir + "/orphan", "", 127, dir + "/orphan: no such file or directory"},
		{"plain", dir + ":/bin", 126, dir + "/plain: permission denied"}, // remembered, for none other is found
	} {
		r := start(t, scene{command: []string{c.command}, launch: `PATH=` + c.path + ` exec "$0" "$@"`})
		r.ends(c.status)
		if got, want := r.stderr.String(), "agent: cannot start "+c.says+"\n"; got != want {
			t.Errorf("%s: stderr is %q, want %q", c.command, got, want)
		}
		if out := r.rest(); len(out) > 0 {
			t.Errorf("%s: stdout is %q", c.command, out)
		}
	}
}

func TestACommandIsLookedUpAsExecvpDoes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/denied/prog", "#!/bin/sh\necho denied\n", 0o644)
	write(t, dir+"/broken/prog", "#!/no/such/interpreter\n", 0o755)
	write(t, dir+"/good/prog", "#!/bin/sh\necho good\n", 0o755)
	write(t, dir+"/prog", "#!/bin/sh\necho here\n", 0o755)
	for path, want := range map[string]string{
		dir + "/denied:" + dir + "/good":  "good",
		dir + "/broken:" + dir + "/good":  "good",
		"good":                            "good", // relative to the working directory
		"/nowhere::" + dir + "/good":      "here", // empty is the working directory
		dir + "/denied/prog/below:good:.": "good",
	} {
		r := start(t, scene{command: []string{"prog"}, launch: `cd ` + dir + `; PATH=` + path + ` exec "$0" "$@"`})
		r.expect(want)
		r.ends(0)
	}
	r := start(t, scene{command: shell("echo found"), launch: `unset PATH; exec "$0" "$@"`})
	r.expect("found")
	r.ends(0)
}

func TestNoCommandIsAnErrorOfUsage(t *testing.T) {
	r := start(t, scene{})
	r.ends(2)
	if out := r.rest(); len(out) > 0 || !strings.Contains(r.stderr.String(), "usage: agent run --raw -- COMMAND") {
		t.Errorf("stdout %q, stderr %q", out, &r.stderr)
	}
}

func TestWhatGoesInComesOutUnchanged(t *testing.T) {
	in := make([]byte, 1<<20)
	if _, err := rand.Read(in); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(agent(t), "run", "--raw", "cat", "-")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID}
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil || !bytes.Equal(in, out) {
		t.Errorf("%d bytes in, %d other bytes out, %v", len(in), len(out), err)
	}
}

func TestOnlyTheStandardFilesAreInherited(t *testing.T) {
	r := start(t, scene{before: []string{"exec 5</dev/null 9>&1"}, command: shell("echo /proc/self/fd/*")})
	// The glob has the directory itself open.
	r.expect("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3")
	r.ends(0)
}

// sd_listen_fds(3): the files are for the process whose pid LISTEN_PID is, which is not the agent.
func TestSocketsOpenedForTheCommandAreItsOwn(t *testing.T) {
	var files []*os.File
	for _, text := range []string{"three\n", "four\n", "five\n"} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		fmt.Fprint(writer, text)
		writer.Close()
		files = append(files, reader)
	}
	script := `[ $LISTEN_PID = $$ ] && echo mine || echo $LISTEN_PID; echo $LISTEN_FDS; cat <&3; cat <&4; [ -e /proc/self/fd/5 ] || echo no five; exit 9`
	r := start(t, scene{
		before: []string{"export LISTEN_FDS=2 LISTEN_PID=$$"}, files: files, command: shell(script),
	})
	for _, want := range []string{"mine", "2", "three", "four", "no five"} {
		r.expect(want)
	}
	r.ends(9)

	r = start(t, scene{before: []string{"export LISTEN_FDS=2 LISTEN_PID=77"}, files: files, command: shell("echo $LISTEN_PID; [ -e /proc/self/fd/3 ] || echo no three")})
	r.expect("77") // somebody else is meant
	r.expect("no three")
	r.ends(0)
}

func TestACommandWithSocketsThatCannotStartHasItsStatusToo(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for command, want := range map[string]int{"/no/such": 127, "/etc/passwd": 126} {
		r := start(t, scene{before: []string{"export LISTEN_FDS=1 LISTEN_PID=$$"}, files: []*os.File{null}, command: []string{command}})
		r.ends(want)
		if !strings.HasPrefix(r.stderr.String(), "agent: cannot start "+command+": ") {
			t.Errorf("stderr is %q", &r.stderr)
		}
	}
}

func TestTheCommandStandsWhereTheAgentWasPutAndTheAgentLeaves(t *testing.T) {
	dir := t.TempDir()
	r := start(t, scene{
		before:  []string{"cd " + dir, "umask 027", "ulimit -Sn 321", "ulimit -Hn 4321"},
		env:     []string{"COLOUR=deep blue", "EMPTY="},
		command: shell(`pwd -P; umask; ulimit -Sn; ulimit -Hn; echo "$COLOUR" "${EMPTY-unset}"; until [ "$(readlink /proc/$PPID/cwd)" = / ]; do :; done; echo /`),
	})
	for _, want := range []string{dir, "0027", "321", "4321", "deep blue ", "/"} {
		r.expect(want)
	}
	r.ends(0)
}

func TestTheCommandStartsWithNothingBlockedAndNothingIgnored(t *testing.T) {
	report := []string{"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}
	want := []string{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"}
	spoiled := scene{role: "spoiler", command: report}
	spoiled.launch = `exec ` + os.Args[0] + ` "$0" "$@"`
	for name, s := range map[string]scene{
		"with its parent's as they should be":        {command: report},
		"with all ignored and blocked by its parent": spoiled,
	} {
		t.Run(name, func(t *testing.T) {
			if s.role != "" { // the role is the parent's, not the command's
				s.env, s.role = []string{roleVariable + "=" + s.role}, ""
				s.command = append([]string{"env", "-u", roleVariable}, report...)
			}
			r := start(t, s)
			if diff := cmp.Diff(want, []string{r.line(), r.line()}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			r.ends(0)
		})
	}
	c := terminal.Open(t)
	r := start(t, scene{tty: c.Near, command: report})
	c.Shows(want[0])
	c.Shows(want[1])
	r.ends(0)
}

func TestTheAgentRunsOnWhenNobodyReadsItsOutput(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(agent(t), "run", "--raw", "--", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWPID}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	if _, err := io.ReadFull(reader, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	tell(t, cmd.Process.Pid, unix.SIGTERM)
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 5 {
		t.Errorf("exit status %d", got)
	}
}
