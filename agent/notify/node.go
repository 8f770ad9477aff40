package notify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/printable"
	"theseus/signals"
)

// Node is the socket over which one incarnation of the node tells the agent what it would tell systemd: READY, STOPPING,
// STATUS and WATCHDOG. The rest of sd_notify(3) is ignored.
type Node struct {
	path  string
	beats time.Duration // it beats within this; 0: it need not
	tell  func(api.Event)
	log   func(msg string, args ...any)
	conn  *net.UnixConn

	mu     sync.Mutex
	said   api.Notice
	base   time.Time // silence is counted from here, or from the last beat
	silent bool
}

// Kinds of the events that a node's messages make.
const (
	nodeReady    = "node.ready"
	nodeStopping = "node.stopping"
	nodeWatchdog = "node.watchdog"
	nodeBeats    = "node.beats"
)

// Listen makes the socket anew, since what is left of an earlier incarnation must not speak for this one. Messages wait
// in it until Serve. tell hears the events, and one without a kind where only the status is new.
func Listen(path string, beats time.Duration, tell func(api.Event), log func(string, ...any)) (*Node, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot make the node's notify socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("cannot make the node's notify socket: %w", err)
	}
	n := &Node{path: path, beats: beats, tell: tell, log: log, conn: conn}
	if err := errors.Join(os.Chmod(path, 0o600), n.wantCredentials()); err != nil {
		n.Close()
		return nil, fmt.Errorf("cannot make the node's notify socket: %w", err)
	}
	return n, nil
}

func (n *Node) wantCredentials() error {
	raw, err := n.conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	})
	return errors.Join(err, set)
}

// Env is what the node needs in its environment.
func (n *Node) Env() []string {
	if n == nil {
		return nil
	}
	env := []string{"NOTIFY_SOCKET=" + n.path}
	if n.beats > 0 {
		env = append(env, fmt.Sprintf("WATCHDOG_USEC=%d", n.beats.Microseconds()))
	}
	return env
}

// Close ends Serve and removes the socket.
func (n *Node) Close() {
	if n != nil {
		n.conn.Close()
	}
}

const (
	maxDatagram = 4096                  // bytes, as systemd has it
	maxFiles    = 253                   // that a datagram can carry (SCM_MAX_FD)
	pause       = 20 * time.Millisecond // of a reader that meets an error, so that it cannot spin
)

// Serve hears the node of this pid and its descendants until Close.
func (n *Node) Serve(pid int) {
	report := once(n.log)
	message := make([]byte, maxDatagram+1)
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxFiles))
	for {
		size, controls, _, _, err := n.conn.ReadMsgUnix(message, control)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			report("the node's notify socket cannot be read", "err", err)
			<-time.After(pause)
			continue
		}
		sender := takeControl(control[:controls])
		switch {
		case sender == nil || int(sender.Uid) != os.Getuid() || !signals.Within(int(sender.Pid), pid):
			report("a message on the node's notify socket was not the node's, and is ignored", "sender", describe(sender))
		case size > maxDatagram:
			report("a message of the node on its notify socket is too long, and is ignored", "limit", maxDatagram)
		default:
			n.hear(string(message[:size]), time.Now())
		}
	}
}

// once reports each thing once, for whoever can send can make it happen without end.
func once(log func(string, ...any)) func(string, ...any) {
	reported := map[string]bool{}
	return func(msg string, args ...any) {
		if !reported[msg] {
			log(msg, args...)
		}
		reported[msg] = true
	}
}

func describe(sender *unix.Ucred) string {
	if sender == nil {
		return "unknown"
	}
	return fmt.Sprintf("pid %d of uid %d", sender.Pid, sender.Uid)
}

// takeControl finds out who sent a datagram, and closes the files that came with it: nobody wants them, and with
// BARRIER=1 the sender waits for just that.
func takeControl(control []byte) (sender *unix.Ucred) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		if files, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range files {
				_ = syscall.Close(fd)
			}
		}
		if ucred, err := unix.ParseUnixCredentials(&m); err == nil {
			sender = ucred
		}
	}
	return sender
}

// hear takes one datagram: assignments, one a line.
func (n *Node) hear(datagram string, now time.Time) {
	for line := range strings.SplitSeq(datagram, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch {
		case line == ready:
			n.note(func() bool { return n.becomeReady(now) }, api.Event{Kind: nodeReady, Message: "the node says that it is ready"})
		case line == stopping:
			n.note(func() bool { return set(&n.said.Stopping, true) }, api.Event{Kind: nodeStopping, Message: "the node says that it stops"})
		case line == watchdog:
			n.note(func() bool { n.said.Beat = now; return set(&n.silent, false) }, api.Event{Kind: nodeBeats, Message: "the node feeds its watchdog again"})
		case name == "STATUS":
			n.note(func() bool { return set(&n.said.Status, printable.Line(value)) }, api.Event{})
		}
	}
}

// set says whether that was a change.
func set[T comparable](field *T, value T) bool {
	before := *field
	*field = value
	return before != value
}

func (n *Node) becomeReady(now time.Time) bool {
	if !n.said.Ready {
		n.base = now
	}
	return set(&n.said.Ready, true)
}

// note changes what the node has said, under the lock, and tells it where that is news.
func (n *Node) note(change func() bool, e api.Event) {
	n.mu.Lock()
	news := change()
	n.mu.Unlock()
	if news {
		e.Time = time.Now()
		n.tell(e)
	}
}

// Said is what the node has said, or nil where it has no socket.
func (n *Node) Said() *api.Notice {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	said := n.said
	return &said
}

// Ready says whether the node is, as far as it was asked to say so.
func (n *Node) Ready() bool { return n == nil || n.Said().Ready }

// Silent says whether the node has been ready and not beaten for too long.
func (n *Node) Silent() bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.silent
}

// Check looks whether the node has fallen silent, and says when to look again. While excused, which is when
// its processes are suspended, its silence does not count.
func (n *Node) Check(excused bool) (again time.Duration) {
	if n == nil || n.beats == 0 {
		return idle
	}
	now := time.Now()
	n.note(func() bool {
		if excused || !n.said.Ready {
			n.base = now
		}
		return set(&n.silent, now.Sub(n.base) > n.beats && now.Sub(n.said.Beat) > n.beats) && n.silent
	}, api.Event{Kind: nodeWatchdog, Message: fmt.Sprintf("the node has not fed its watchdog for %s", n.beats)})
	return max(n.beats/4, time.Millisecond)
}
