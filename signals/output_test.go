package signals

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// shell is a command whose last word may be anything that a shell takes.
func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}}
}

func TestOutputIsWhatACommandPrintsAndHowItEnds(t *testing.T) {
	if !asPID1(t) {
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close what was left open
	i, _ := running(t)
	if _, _, err := i.Output(t.Context(), shell("true"), 1); err != nil { // opens what the Go runtime polls with, once
		t.Fatal(err)
	}
	files := openFiles(t) // and perhaps one more, which whoever reaps has open for a moment: a second leak shows
	long := "head -c 100000 /dev/zero; exit 3"
	for script, want := range map[string]struct {
		text string
		exit Exit
		err  error
	}{
		"echo well":                      {"well\n", Exit{}, nil},
		"exit 3":                         {"", Exit{Code: 3}, nil},
		"echo oops; kill -9 $$":          {"oops\n", Exit{Signal: 9}, nil},
		"echo before; exec >&-; exit 4":  {"before\n", Exit{Code: 4}, nil},
		"echo mine; sleep 1000 & exit 5": {"mine\n", Exit{Code: 5}, nil},
		"exec >&-; sleep 1000":           {"", Exit{Signal: 9}, context.DeadlineExceeded},
		"setsid sleep 1000 & sleep 1000": {"", Exit{Signal: 9}, context.DeadlineExceeded},
		"yes":                            {strings.Repeat("y\n", 500), Exit{Signal: 9}, ErrTooMuch},
		"yes & sleep 1000":               {strings.Repeat("y\n", 500), Exit{Signal: 9}, ErrTooMuch},
	} {
		limit := patience
		if errors.Is(want.err, context.DeadlineExceeded) {
			limit = 2 * time.Second // however far it has got
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		text, exit, err := i.Output(ctx, shell(script), 1000)
		cancel()
		if string(text) != want.text || exit != want.exit || !errors.Is(err, want.err) {
			t.Errorf("%s: printed %.20q…, %v, %v", script, text, exit, err)
		}
		eventually(t, script+" leaves no process", func() bool { return len(children()) == 0 })
		eventually(t, script+" leaves no file open", func() bool { return openFiles(t) <= files })
	}
	if text, _, err := i.Output(t.Context(), shell(long), 1000); len(text) != 1000 || !errors.Is(err, ErrTooMuch) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, _, err := i.Output(t.Context(), Command{Path: "/no/such"}, 1000); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestWhatWasPrintedBeforeTheEndIsThere: a command that ignores TERM is ended as soon as it has printed something.
func TestWhatWasPrintedBeforeTheEndIsThere(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	ctx, cancel := context.WithCancel(t.Context())
	ends := &ending{end: cancel}
	exit, err := i.Stream(ctx, shell("trap '' TERM; echo a; sleep 1000"), ends)
	if want := (Exit{Signal: 9}); ends.text.String() != "a\n" || exit != want || !errors.Is(err, context.Canceled) {
		t.Errorf("printed %q, %v, %v", ends.text.String(), exit, err)
	}
	eventually(t, "no process is left", func() bool { return len(children()) == 0 })
}

// ending ends a command that has printed something.
type ending struct {
	text bytes.Buffer
	end  func()
}

func (e *ending) Write(text []byte) (int, error) {
	defer e.end()
	return e.text.Write(text)
}

// TestOutputDoesNotWaitForWhoHasEscaped: it has left the session and the environment that it would be found by.
func TestOutputDoesNotWaitForWhoHasEscaped(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	for _, escape := range []string{"sleep 1000", "sh -c 'while :; do echo here; sleep 0.1; done'"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		text, exit, err := i.Output(ctx, shell("echo well; env -i setsid "+escape+" & sleep 0.3"), 1000)
		cancel()
		if !strings.HasPrefix(string(text), "well\n") || exit != (Exit{}) || err != nil {
			t.Errorf("%s: printed %q, %v, %v", escape, text, exit, err)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
