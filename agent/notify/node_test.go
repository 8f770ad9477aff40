package notify

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/printable"
)

// says makes this program a child that says something on a socket, and waits for its stdin to end.
const says = "NOTIFY_TEST_SAYS"

func TestMain(m *testing.M) {
	if message := os.Getenv(says); message != "" {
		_ = post(os.Getenv("NOTIFY_SOCKET"), message)
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	goleak.VerifyTestMain(m)
}

// served is a node's socket that is served.
type served struct {
	*Node
	t      *testing.T
	mu     sync.Mutex
	log    bytes.Buffer
	events chan api.Event
}

func serve(t *testing.T, pid int) *served {
	t.Helper()
	s := &served{t: t, events: make(chan api.Event, 100)}
	log := slog.New(slog.NewTextHandler(s, nil))
	var err error
	s.Node, err = Listen(filepath.Join(t.TempDir(), "notify.sock"), 0, func(e api.Event) { s.events <- e }, log.Warn)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(pid) })
	t.Cleanup(serving.Wait)
	t.Cleanup(s.Close)
	return s
}

// Write takes the log.
func (s *served) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(line)
}

func (s *served) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// say sends a message from this process.
func (s *served) say(message string) {
	s.t.Helper()
	if err := post(s.path, message); err != nil {
		s.t.Fatal(err)
	}
}

// is the kind of the next event.
func (s *served) is(kind string) {
	s.t.Helper()
	select {
	case e := <-s.events:
		if e.Kind != kind {
			s.t.Fatalf("the event is %+v", e)
		}
	case <-time.After(3 * time.Minute):
		s.t.Fatalf("no event %q; the log:\n%s", kind, s.logged())
	}
}

func TestTheNodeSaysThatItIsReadyWhatItDoesAndThatItStops(t *testing.T) {
	s := serve(t, os.Getpid())
	if s.Ready() {
		t.Error("it is ready beforehand")
	}
	s.say("READY=1\nSTATUS=one\x1b[31m  \u202eline\nMAINPID=1\n")
	s.is(nodeReady)
	s.is("")
	s.say("READY=1\nnonsense\n=\nFDSTORE=1\nSTATUS=one\x1b[31m  \u202eline")
	s.say("STOPPING=1")
	s.is(nodeStopping)
	if diff := cmp.Diff(&api.Notice{Ready: true, Stopping: true, Status: `one\x1b[31m \u202eline`}, s.Said()); diff != "" {
		t.Error(diff)
	}
}

func TestAChildOfTheNodeSpeaksForIt(t *testing.T) {
	s := serve(t, os.Getpid())
	child := speak(t, s, "READY=1")
	s.is(nodeReady)
	_ = child.Process.Kill()
}

// speak has another process say something.
func speak(t *testing.T, s *served, message string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "NOTIFY_SOCKET="+s.path, says+"="+message)
	stdin, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = child.Wait()
	})
	return child
}

func TestWhoIsNotOfTheNodeIsIgnoredAndReportedOnce(t *testing.T) {
	node := exec.Command("sleep", "1000")
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait()
	})
	s := serve(t, node.Process.Pid)
	s.say("READY=1")
	s.say("READY=1")
	barrier(t, s)
	if s.Ready() || strings.Count(s.logged(), "was not the node's") != 1 {
		t.Errorf("ready: %v; the log:\n%s", s.Ready(), s.logged())
	}
}

func TestAMessageThatIsTooLongIsIgnored(t *testing.T) {
	s := serve(t, os.Getpid())
	s.say("READY=1\n" + strings.Repeat("x", maxDatagram))
	barrier(t, s)
	if s.Ready() || !strings.Contains(s.logged(), "too long") {
		t.Errorf("ready: %v; the log:\n%s", s.Ready(), s.logged())
	}
}

// barrier returns when all messages before it have been read, which the end of a file tells that went with it, as
// sd_notify_barrier(3) has it.
func barrier(t *testing.T, s *served) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	files := make([]int, maxFiles)
	for i := range files {
		files[i] = int(write.Fd())
	}
	if _, _, err := conn.WriteMsgUnix([]byte("BARRIER=1"), unix.UnixRights(files...), &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	write.Close()
	_ = read.SetReadDeadline(time.Now().Add(3 * time.Minute))
	if n, err := read.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Fatalf("the files that went with a message are still open: %v", err)
	}
}

func TestASocketIsMadeAnewForEachNodeAndOthersOfTheMachineCannotWriteToIt(t *testing.T) {
	s := serve(t, os.Getpid())
	again, err := Listen(s.path, time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if diff := cmp.Diff([]string{"NOTIFY_SOCKET=" + s.path, "WATCHDOG_USEC=1000000"}, again.Env()); diff != "" {
		t.Error(diff)
	}
	if _, err := Listen(filepath.Join(t.TempDir(), strings.Repeat("x", 108)), 0, nil, nil); err == nil {
		t.Error("a path that is too long is accepted")
	}
}

func TestANodeWithoutASocketIsAskedForNothing(t *testing.T) {
	var n *Node
	n.Close()
	if n.Said() != nil || !n.Ready() || n.Silent() || n.Env() != nil || n.Check(false) != idle {
		t.Error("it is")
	}
}

// watched is a node that beats or not, in a bubble.
func watched(t *testing.T, story func(n *Node, after func(d time.Duration, excused bool) string)) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		n := &Node{beats: time.Second, tell: func(e api.Event) { told = append(told, e.Kind) }}
		story(n, func(d time.Duration, excused bool) string {
			for end := time.Now().Add(d); time.Now().Before(end); {
				<-time.After(n.Check(excused))
			}
			defer func() { told = nil }()
			return strings.Join(told, " ")
		})
	})
}

func TestANodeThatFallsSilentIsReportedOnceAndWhenItBeatsAgain(t *testing.T) {
	watched(t, func(n *Node, after func(time.Duration, bool) string) {
		if got := after(time.Minute, false); got != "" || n.Silent() {
			t.Errorf("before it is ready: %s", got)
		}
		n.hear("READY=1", time.Now())
		for range 4 {
			if got := after(750*time.Millisecond, false); got != "" && got != nodeReady || n.Silent() {
				t.Errorf("while it beats: %s", got)
			}
			n.hear("WATCHDOG=1", time.Now())
		}
		if got := after(time.Minute, true); got != "" || n.Silent() {
			t.Errorf("while it is upgraded: %s", got)
		}
		if got := after(time.Second, false); got != "" || n.Silent() {
			t.Errorf("just after it was upgraded: %s", got)
		}
		if got := after(time.Minute, false); got != nodeWatchdog || !n.Silent() {
			t.Errorf("when it is silent: %s", got)
		}
		n.hear("WATCHDOG=1", time.Now())
		if got := after(500*time.Millisecond, false); got != nodeBeats || n.Silent() {
			t.Errorf("when it beats again: %s", got)
		}
	})
}

func FuzzWhateverTheNodeSaysItsStatusIsOneShortLine(f *testing.F) {
	for _, seed := range []string{"READY=1", "STATUS=ok\nWATCHDOG=1", "STATUS=" + strings.Repeat("ü", 300), "STATUS=\xff\x00\x1b[2J", "=\n\n="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, datagram string) {
		n := &Node{tell: func(api.Event) {}}
		n.hear(datagram, time.Now())
		if s := n.Said().Status; utf8.RuneCountInString(s) > 301 || s != printable.Text(s) {
			t.Errorf("%q", s)
		}
	})
}
