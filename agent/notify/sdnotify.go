package notify

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Messages of sd_notify(3). MAINPID is none of them: podman sends it itself, and systemd knows it.
const (
	ready     = daemon.SdNotifyReady
	reloading = daemon.SdNotifyReloading
	stopping  = daemon.SdNotifyStopping
	watchdog  = daemon.SdNotifyWatchdog
)

// sendTimeout is how long a datagram may wait for room in the manager's queue. The library's own SdNotify waits for ever.
const sendTimeout = 500 * time.Millisecond

// Manager is the service manager that the agent was started by, or none.
type Manager struct {
	socket   string        // a path, or @name of an abstract socket; empty: there is no manager
	watchdog time.Duration // it wants a beat within this; 0: none
	log      *slog.Logger
	post     func(socket, message string) error

	mu   sync.Mutex
	lost bool // the last message was
}

// FromEnvironment finds the manager by NOTIFY_SOCKET, and what it wants by WATCHDOG_USEC and WATCHDOG_PID. The latter may
// be missing, as it is in a container. They are read from the environment of this process, which the last of them names.
func FromEnvironment(log *slog.Logger) *Manager {
	m := &Manager{socket: os.Getenv("NOTIFY_SOCKET"), log: log, post: post}
	if m.socket == "" {
		return m
	}
	var err error
	if m.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog cannot be fed", "err", err)
	}
	return m
}

// there says whether anybody is to be told.
func (m *Manager) there() bool { return m.socket != "" }

// send sends one datagram. One that cannot be sent is lost, and the first of a row of them is reported.
func (m *Manager) send(lines ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.post(m.socket, strings.Join(lines, "\n"))
	if err != nil && !m.lost {
		m.log.Warn("the service manager cannot be notified; the node runs on", "err", err)
	}
	m.lost = err != nil
}

func post(socket, message string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// reload is the beginning of something that ends with ready. The time tells the manager which ready that is.
func reload() string {
	return reloading + "\n" + strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n")
}

func extend(by time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds())
}

// own are the variables by which a service manager speaks to the agent, and to nobody else.
var own = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// Strip is an environment without what the service manager told the agent.
func Strip(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(own, name)
	})
}
