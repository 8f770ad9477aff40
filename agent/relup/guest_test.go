package relup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The init/1 of a supervisor is run in the emulator. A port program is a session of its own (erts: erl_child_setup), and this one does
// not read its standard input, by which others learn that they are alone.
func TestWhatAnEmulatorHasStartedEndsWithIt(t *testing.T) {
	image(t)
	for name, test := range map[string]struct {
		rest, want string // of init/1, and the error
	}{
		"that ends":               {"", ""},
		"that is ended":           {"receive go -> ok end, ", context.Canceled.Error()},
		"that prints without end": {`(fun Print() -> io:put_chars(lists:duplicate(10000, $x)), Print() end)(), `, "prints more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			dir, begun := t.TempDir(), filepath.Join(t.TempDir(), "begun")
			starts := fmt.Sprintf(`Port = open_port({spawn_executable, "/bin/sh"}, [{args, ["-c", "echo >%s; echo; exec sleep 1000"]}]), receive {Port, {data, _}} -> ok end, inet:gethostbyname("localhost"), `, begun)
			over := make(chan error)
			go func() {
				old := modules{"server": server, "top": sup(""), "starter": starter}
				_, err := makeIn(ctx, t, dir, old, old.with("top", with(sup(""), "init([]) -> ", "init([]) -> "+starts+test.rest)))
				over <- err
			}()
			if test.want == context.Canceled.Error() {
				await(t, begun, over)
				stop()
			}
			if err := <-over; (err == nil) != (test.want == "") || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Error(err)
			}
			if _, err := os.Stat(begun); err != nil {
				t.Error(err)
			}
			for _, left := range within(t, dir) {
				t.Errorf("%q runs", left)
			}
		})
	}
}

func await(t *testing.T, path string, over <-chan error) {
	t.Helper()
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case err := <-over:
			t.Fatalf("it ended before that: %v", err)
		case <-poll.C:
		}
	}
}

// within are the command lines of processes that have a directory in their environment, as an emulator and all below it have.
func within(t *testing.T, dir string) (found []string) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d processes, %v", len(list), err)
	}
	for _, environ := range list {
		if text, err := os.ReadFile(environ); err == nil && strings.Contains(string(text), dir) {
			words, _ := os.ReadFile(filepath.Join(filepath.Dir(environ), "cmdline"))
			found = append(found, fmt.Sprintf("%.100s", strings.ReplaceAll(string(words), "\x00", " ")))
		}
	}
	return found
}
