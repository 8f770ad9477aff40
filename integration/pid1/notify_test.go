package pid1_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// conmon stands for podman's: it has a notify socket in a directory that is mounted into the container.
type conmon struct {
	dir       string
	socket    *net.UnixConn
	listening sync.WaitGroup
	mu        sync.Mutex
	told      []string
}

func listen(t *testing.T) *conmon {
	t.Helper()
	c := &conmon{dir: t.TempDir()}
	path := filepath.Join(c.dir, "notify.sock")
	var err error
	c.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	for _, open := range []string{c.dir, filepath.Dir(c.dir), path} { // for the container's user
		if err == nil {
			err = os.Chmod(open, 0o777)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	c.listening.Go(c.hear)
	t.Cleanup(c.listening.Wait)
	t.Cleanup(func() { c.socket.Close() })
	return c
}

// hear ends with the socket, or an empty message.
func (c *conmon) hear() {
	message := make([]byte, 4096)
	for n, err := c.socket.Read(message); err == nil && n > 0; n, err = c.socket.Read(message) {
		c.mu.Lock()
		c.told = append(c.told, strings.Split(string(message[:n]), "\n")...)
		c.mu.Unlock()
	}
}

// hearsAll returns when all that was sent before has been heard.
func (c *conmon) hearsAll(t *testing.T) {
	t.Helper()
	if _, err := c.socket.WriteTo(nil, c.socket.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	c.listening.Wait()
}

// heard are the messages so far that begin with one of these words.
func (c *conmon) heard(words ...string) (list []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.told {
		if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(line, word+"=") }) {
			list = append(list, line)
		}
	}
	return list
}

// hears waits until the changes of the service are these.
func (c *conmon) hears(s *ship.Ship, want ...string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), strings.Join(want, " "), ship.Patience, func(context.Context) error {
		if got := c.heard("READY", "RELOADING", "STOPPING"); !slices.Equal(got, want) {
			return fmt.Errorf("conmon hears %v", got)
		}
		return nil
	}))
}

func TestPodmanHearsOfTheNodeThroughABootUpgradesAndAStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		c := listen(t)
		s := ship.Launch(t, set, append(docker.Hardened(), "-v", c.dir+":/run/notify", "-e", "NOTIFY_SOCKET=/run/notify/notify.sock",
			"-e", "WATCHDOG_USEC=2000000")...)
		c.hears(s, "READY=1")
		s.Must(s.Await(t.Context(), "the watchdog to be fed", ship.Patience, func(context.Context) error {
			if len(c.heard("WATCHDOG")) < 2 {
				return errNotYet
			}
			return nil
		}))
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC"} {
			if got := s.RPC("os", "getenv", `["`+name+`", none]`); got != "none" {
				t.Errorf("the node has %s=%s", name, got)
			}
		}
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		c.hears(s, "READY=1", "RELOADING=1", "READY=1")
		s.Must(s.Await(t.Context(), "the status of the new release", ship.Patience, func(context.Context) error {
			if !slices.Contains(c.heard("STATUS"), "STATUS=demo 1.1.0 runs") { // told when nothing has changed for a moment
				return errNotYet
			}
			return nil
		}))
		s.Ends(s.Agent(nil, "rollback"), 0)
		c.hears(s, "READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1")
		endsWith(s, "TERM", 0, kill(s, "TERM"))
		c.hearsAll(t)
		if got, want := c.heard("STOPPING", "MAINPID"), []string{"STOPPING=1"}; !slices.Equal(got, want) {
			t.Errorf("at the end conmon hears %v", got)
		}
		if status := c.heard("STATUS"); status[len(status)-1] != "STATUS=demo 1.0.0 is stopping" {
			t.Errorf("its status: %q", status)
		}
	})
}

func TestANotifySocketThatGoesAwayIsNoReasonToStop(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		c := listen(t)
		s := ship.Launch(t, set, "-v", c.dir+":/run/notify", "-e", "NOTIFY_SOCKET=/run/notify/notify.sock")
		c.hears(s, "READY=1")
		c.socket.Close()
		s.Ends(s.Upgrade(s.Package(images.Second)), 0)
		s.Serves(images.Second)
		endsWith(s, "TERM", 0, kill(s, "TERM"))
		if n := strings.Count(s.Logs(t.Context()), "the service manager cannot be notified"); n != 1 {
			t.Errorf("%d reports:\n%s", n, s.Logs(t.Context()))
		}
	})
}
