package notify

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// manage makes a manager's socket.
func manage(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive is the next message.
func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	message := make([]byte, 4096)
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Minute))
	n, err := conn.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message[:n])
}

// managed is what the agent finds when a manager started it with this in the environment, and its log.
func managed(t *testing.T, environ ...string) (*Manager, *bytes.Buffer) {
	t.Helper()
	for _, name := range own {
		t.Setenv(name, "")
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	var log bytes.Buffer
	return FromEnvironment(slog.New(slog.NewTextHandler(&log, nil))), &log
}

func TestAMessageReachesAPathAndAnAbstractName(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@theseus-notify-%d", os.Getpid())} {
		socket := manage(t, name)
		m, log := managed(t, "NOTIFY_SOCKET="+name)
		m.send(reload(), "STATUS=x")
		got := receive(t, socket)
		lines := strings.Split(got, "\n")
		if len(lines) != 3 || lines[0] != "RELOADING=1" || !strings.HasPrefix(lines[1], "MONOTONIC_USEC=") || lines[2] != "STATUS=x" || log.Len() > 0 {
			t.Errorf("%s hears %q, and the log says %q", name, got, log)
		}
	}
}

func TestADeadSocketIsReportedOnceForEachTimeThatItDies(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	m, log := managed(t, "NOTIFY_SOCKET="+name)
	m.send(ready)
	m.send(stopping)
	socket := manage(t, name)
	m.send(watchdog)
	if got := receive(t, socket); got != watchdog {
		t.Errorf("it hears %q", got)
	}
	socket.Close()
	m.send(ready)
	m.send(ready)
	if n := strings.Count(log.String(), "cannot be notified"); n != 2 {
		t.Errorf("%d reports:\n%s", n, log)
	}
}

func TestASocketThatNobodyReadsCostsLittleTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	manage(t, name)
	m, log := managed(t, "NOTIFY_SOCKET="+name)
	for i := 0; log.Len() == 0; i++ { // the queue is net.unix.max_dgram_qlen long
		begun := time.Now()
		m.send(ready)
		if took := time.Since(begun); took > 100*sendTimeout { // it could be for ever
			t.Fatalf("message %d took %v", i, took)
		}
	}
}

func TestTheWatchdogIsMeantForThisProcessOrForNobodyByName(t *testing.T) {
	for environ, want := range map[string]time.Duration{
		"":                                0,
		"WATCHDOG_USEC=3000000":           3 * time.Second,
		"WATCHDOG_USEC=3000000 PID=self":  3 * time.Second,
		"WATCHDOG_USEC=3000000 PID=other": 0,
		"WATCHDOG_USEC=soon":              0,
	} {
		environ = strings.NewReplacer("PID=self", "WATCHDOG_PID="+strconv.Itoa(os.Getpid()), "PID=other", "WATCHDOG_PID=1").Replace(environ)
		m, log := managed(t, append(strings.Fields(environ), "NOTIFY_SOCKET=/x")...)
		if m.watchdog != want || strings.Contains(environ, "soon") != (log.Len() > 0) {
			t.Errorf("%s: the watchdog has %v, and the log says %q", environ, m.watchdog, log)
		}
	}
}

func TestWhatTheManagerToldTheAgentIsTakenOut(t *testing.T) {
	environ := []string{
		"NOTIFY_SOCKET=/x", "A=1", "WATCHDOG_USEC=1", "WATCHDOG_PID=1", "LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=a",
		"LISTEN_ADDRESS=stays", "LISTEN_PIDFDID=1",
	}
	if diff := cmp.Diff([]string{"A=1", "LISTEN_ADDRESS=stays"}, Strip(environ)); diff != "" {
		t.Error(diff)
	}
}
