package heart

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
)

// TestMain is also the heart of the nodes here, which start this program by that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Program {
		os.Exit(Main(os.Getenv, os.Stderr)) //nolint:forbidigo // this is main
	}
	m.Run()
}

// patience is how long a fact may take on a loaded machine.
const patience = 3 * time.Minute

// otp is where the machine's OTP is, and its ERTS's programs.
func otp(t *testing.T) (root, bin string) {
	t.Helper()
	erl, err := filepath.EvalSymlinks(need.Tool(t, "erl"))
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Dir(filepath.Dir(erl))
	found, err := filepath.Glob(filepath.Join(root, "erts-*", "bin"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no ERTS below %s: %v", root, err)
	}
	return root, found[0]
}

// node is a real BEAM whose heart is heard.
type node struct {
	*Heart
	t      *testing.T
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// launch starts a node that evaluates an expression when it is up. Flags are read before all others.
func launch(t *testing.T, expression string, flags ...string) *node {
	t.Helper()
	t.Parallel()
	root, bin := otp(t)
	dir := t.TempDir()
	bindir := filepath.Join(dir, "bin")
	if err := Bindir(bindir, bin); err != nil {
		t.Fatal(err)
	}
	h, err := Listen(bindir, rand.Text(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Heart: h, t: t, ended: make(chan struct{})}
	flags = append(flags, "-noinput", "-heart", "-boot", "start_sasl", "-eval", expression)
	n.cmd = exec.CommandContext(t.Context(), filepath.Join(bindir, "erlexec"), flags...)
	n.cmd.Dir = dir
	n.cmd.WaitDelay = patience // what outlives it holds the pipe
	n.cmd.Env = append(os.Environ(), "ROOTDIR="+root, "BINDIR="+bindir, "EMU=beam", "PROGNAME=erl", "HOME="+dir, "ERL_CRASH_DUMP_SECONDS=100", Variable+"="+h.incarnation)
	n.cmd.Stdout, n.cmd.Stderr = &n.output, &n.output
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = n.cmd.Wait()
		close(n.ended)
	}()
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.ended
		n.Close()
	})
	return n
}

// says waits for the node's end, and fails the test unless its status and its last word are these.
func (n *node) says(status int, word Word) {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("the node does not end: %s", &n.output)
	}
	n.Close()
	if got := n.cmd.ProcessState.ExitCode(); got != status || n.Word() != word {
		n.t.Errorf("exit status %d with word %d, want %d with %d: %s", got, n.Word(), status, word, &n.output)
	}
}

func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(patience); !fact(); <-poll.C {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after %v: %s", patience, what)
		}
	}
}

func TestTheLastWordTellsAStopFromARebootAndACrash(t *testing.T) {
	for _, c := range []struct {
		about, expression string
		status            int
		word              Word
	}{
		{"init:stop()", "init:stop().", 0, Stopped},
		{"init:stop(3)", "init:stop(3).", 3, Stopped},
		{"init:reboot()", "init:reboot().", 0, Closed},
		{"halt(0)", "halt(0).", 0, Closed},
		{"halt(7)", "halt(7).", 7, Closed},
		{"a crash with a dump", `erlang:halt("crash").`, 1, Crashing},
		{"kill -9", `os:cmd("kill -9 " ++ os:getpid()).`, -1, Closed},
	} {
		t.Run(c.about, func(t *testing.T) { launch(t, c.expression).says(c.status, c.word) })
	}
}

func TestANodeThatIsGoneBeforeItsHeartCalledIsUnheard(t *testing.T) {
	nobodyWrites := filepath.Join(t.TempDir(), "vm.args")
	if err := unix.Mkfifo(nobodyWrites, 0o600); err != nil {
		t.Fatal(err)
	}
	n := launch(t, "ok.", "-args_file", nobodyWrites) // it waits there, however late it is killed
	_ = n.cmd.Process.Kill()
	n.says(-1, Unheard)
}

// TestTheHeartLeavesNoProcess: its program has handed over its pipes and ended, the node beats on.
func TestTheHeartLeavesNoProcess(t *testing.T) {
	n := launch(t, "ok.")
	eventually(t, "its heart called", func() bool { return n.Word() == Closed })
	eventually(t, "its program has ended", func() bool { return n.processes(Program) == 0 })
	first := n.Beats()
	eventually(t, "it beats on", func() bool { return n.Beats() > first })
	select {
	case <-n.ended:
		t.Errorf("the node ended: %s", &n.output)
	default:
	}
}

// processes counts those of a name that the node has started.
func (n *node) processes(name string) (count int) {
	n.t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		n.t.Fatal(err)
	}
	for _, path := range list {
		comm, err := os.ReadFile(path)
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if err == nil && strings.TrimSpace(string(comm)) == name && bytes.Contains(environ, []byte(Variable+"="+n.incarnation+"\x00")) {
			count++
		}
	}
	return count
}

// TestReleaseHandlersCommandIsHeard walks through the whole protocol, from kernel's side.
func TestReleaseHandlersCommandIsHeard(t *testing.T) {
	n := launch(t, `ok = heart:set_cmd("first"), {ok, "first"} = heart:get_cmd(), ok = heart:clear_cmd(), {ok, ""} = heart:get_cmd(),
		{error, {bad_cmd, _}} = heart:set_cmd(lists:duplicate(2047, $x)), Long = lists:duplicate(2046, $y), ok = heart:set_cmd(Long), {ok, Long} = heart:get_cmd(),
		ok = heart:set_cmd("start new_start_erl.data"), init:reboot().`)
	n.says(0, Closed)
	if got := n.Command(); got != "start new_start_erl.data" {
		t.Errorf("it wants %q: %s", got, &n.output)
	}
}

func TestHeartsCycleChangesTheLineAndIsNoStop(t *testing.T) {
	n := launch(t, `ok = heart:set_cmd("kept"), ok = heart:cycle(), {ok, "kept"} = heart:get_cmd(), init:reboot().`)
	n.says(0, Closed)
}

func TestARestartInsideTheVMKeepsTheHeart(t *testing.T) {
	n := launch(t, `case os:getenv("AGAIN") of false -> os:putenv("AGAIN", "1"), init:restart(); _ -> init:stop() end.`)
	n.says(0, Stopped)
}

func TestANodeDoesNotBootWithoutTheAgent(t *testing.T) {
	root, bin := otp(t)
	dir := t.TempDir()
	bindir := filepath.Join(dir, "bin")
	if err := Bindir(bindir, bin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(bindir, "erlexec"), "-noinput", "-heart", "-eval", "halt(0).")
	cmd.Dir = dir
	cmd.WaitDelay = patience
	cmd.Env = append(os.Environ(), "ROOTDIR="+root, "BINDIR="+bindir, "EMU=beam", "PROGNAME=erl", "HOME="+dir, "ERL_CRASH_DUMP_SECONDS=0")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("heart: cannot reach the agent")) {
		t.Errorf("it ended with %v: %s", err, out)
	}
}

// ear is a heart without a node, and a caller that is none.
func ear(t *testing.T) (h *Heart, call func(incarnation string, files ...*os.File)) {
	t.Helper()
	dir := t.TempDir()
	h, err := Listen(dir, "mine", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return h, func(incarnation string, files ...*os.File) {
		t.Helper()
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var fds []int
		for _, f := range files {
			fds = append(fds, descriptor(t, f))
		}
		if _, _, err := c.WriteMsgUnix([]byte(incarnation), unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// descriptor is a file's, which stays as it is. File.Fd would make the open file block, and whoever shares it with it.
func descriptor(t *testing.T, f *os.File) (number int) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { number = int(fd) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func pipe(t *testing.T) (in, out *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), out.Close()) })
	return in, out
}

func TestWhoIsNotTheHeartOfTheIncarnationIsNotHeard(t *testing.T) {
	h, call := ear(t)
	defer h.Close()
	for _, c := range []struct {
		about, incarnation string
		files              func(in, out *os.File) []*os.File
	}{
		{"another incarnation", "another", both},
		{"none", "", both},
		{"one that is too long", strings.Repeat("mine", 100), both},
		{"one file", "mine", func(_, out *os.File) []*os.File { return []*os.File{out} }},
		{"three files", "mine", func(in, out *os.File) []*os.File { return []*os.File{in, out, out} }},
		{"twice two files", "mine", func(in, out *os.File) []*os.File { return []*os.File{in, out, in, out} }},
	} {
		words, _ := pipe(t)
		answers, toNode := pipe(t)
		call(c.incarnation, c.files(words, toNode)...)
		toNode.Close()
		if n, err := answers.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: an answer of %d bytes and %v, want the pipe closed", c.about, n, err)
		}
	}
	if h.Word() != Unheard {
		t.Error("one of them was heard")
	}
	call("mine") // with nothing
	in, out := pipe(t)
	call("mine", in, out)
	eventually(t, "the heart itself is heard", func() bool { return h.Word() == Closed })
}

func both(in, out *os.File) []*os.File { return []*os.File{in, out} }

// TestAPipeThatBlocksHoldsUpNobody: whoever shares an open file with the agent shares its flags.
func TestAPipeThatBlocksHoldsUpNobody(t *testing.T) {
	h, call := ear(t)
	words, toAgent := pipe(t)
	fromAgent, toNode := pipe(t)
	call("mine", words, toNode)
	if _, err := fromAgent.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(descriptor(t, words), false); err != nil {
		t.Fatal(err)
	}
	if _, err := toAgent.Write(frame(opBeat, "")); err != nil { // from now on it does not wait, but reads
		t.Fatal(err)
	}
	eventually(t, "it beats", func() bool { return h.Beats() > 0 })
	h.Close()
}

func TestANodeThatReadsNothingFromAPipeThatBlocksHoldsUpNobody(t *testing.T) {
	h, call := ear(t)
	words, toAgent := pipe(t)
	fromAgent, toNode := pipe(t)
	call("mine", words, toNode)
	if _, err := fromAgent.Read(make([]byte, len(frame(opAck, "")))); err != nil {
		t.Fatal(err)
	}
	fill(t, toNode)
	if err := unix.SetNonblock(descriptor(t, toNode), false); err != nil {
		t.Fatal(err)
	}
	if _, err := toAgent.Write(frame(opSetCommand, "boot")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its command is heard", func() bool { return h.Command() == "boot" })
	h.Close()
}

// TestWhatIsInThePipeAtTheDeadlineIsHeard by an agent that did not run until then.
func TestWhatIsInThePipeAtTheDeadlineIsHeard(t *testing.T) {
	in, out := pipe(t)
	if _, err := out.Write(frame(opShutDown, "")); err != nil {
		t.Fatal(err)
	}
	if err := in.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	l := &line{in: in}
	if op, _, err := readFrame(bufio.NewReader(l)); op != opShutDown || err != nil {
		t.Errorf("operation %d, %v", op, err)
	}
	if _, err := l.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("then it ends with %v", err)
	}
}

func TestANodeThatReadsNothingBlocksNobody(t *testing.T) {
	h, call := ear(t)
	words, toAgent := pipe(t)
	_, toNode := pipe(t)
	fill(t, toNode)
	call("mine", words, toNode)
	if _, err := toAgent.Write(frame(opSetCommand, "boot")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its command is heard", func() bool { return h.Command() == "boot" })
	var closing sync.WaitGroup
	closing.Go(h.Close) // though the pipe stays open
	closing.Wait()
}

// fill makes a pipe take no more.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	if err := pipe.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for full := make([]byte, 4096); ; {
		if _, err := pipe.Write(full); err != nil {
			return
		}
	}
}

func TestTheSocketIsForTheNodeAlone(t *testing.T) {
	_, bin := otp(t)
	dir := filepath.Join(t.TempDir(), "bin")
	for range 2 { // the second one replaces the first
		if err := Bindir(dir, bin); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory: %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "erlexec")); err != nil {
		t.Error(err)
	}
	if err := Bindir(dir, filepath.Join(bin, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an ERTS that is not there: %v", err)
	}
}
