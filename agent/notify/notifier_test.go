package notify

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
)

// listener is a manager that remembers what it was told, and when.
type listener struct {
	*Manager
	mu    sync.Mutex
	begun time.Time
	told  []string
}

var digits = regexp.MustCompile(`MONOTONIC_USEC=\d+`)

func listen(t *testing.T, watchdog time.Duration) *listener {
	l := &listener{begun: time.Now()}
	l.Manager = &Manager{socket: "/there", watchdog: watchdog, log: slog.New(slog.NewTextHandler(t.Output(), nil)), post: l.hear}
	return l
}

func (l *listener) hear(_, message string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	message = digits.ReplaceAllString(message, "MONOTONIC_USEC=…")
	l.told = append(l.told, time.Since(l.begun).Round(10*time.Millisecond).String()+" "+message)
	return nil
}

// heard is what the manager was told since the last time.
func (l *listener) heard() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.told
	l.told = nil
	return heard
}

// act is a Notifier that runs in a bubble, and what it looks at.
type act struct {
	*Notifier
	hears *listener
	view  atomic.Pointer[View]
}

func (a *act) show(status string, left time.Duration) { a.view.Store(&View{status, left}) }

func perform(t *testing.T, story func(a *act, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &act{hears: listen(t, 0)}
		a.show("", 0)
		a.Notifier = NewNotifier(a.hears.Manager, func() View { return *a.view.Load() })
		life, end := context.WithCancel(t.Context())
		stopping, stop := context.WithCancel(life)
		var running sync.WaitGroup
		running.Go(func() { a.Run(life, stopping) })
		defer running.Wait()
		defer end()
		story(a, stop)
	})
}

// after lets the clock run, and is what the manager heard in that time.
func (a *act) after(d time.Duration) []string {
	<-time.After(d)
	synctest.Wait()
	return a.hears.heard()
}

func (a *act) is(t *testing.T, want ...string) func(d time.Duration) {
	return func(d time.Duration) {
		t.Helper()
		if diff := cmp.Diff(want, a.after(d)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAStatusPrecedesWhatItExplainsAndTimeIsAskedForInSmallPieces(t *testing.T) {
	perform(t, func(a *act, stop func()) {
		a.show("demo boots", 3500*time.Millisecond)
		a.is(t, "0s EXTEND_TIMEOUT_USEC=3500000", "0s STATUS=demo boots", "1s EXTEND_TIMEOUT_USEC=3500000")(1500 * time.Millisecond)
		a.show("demo runs", 0)
		a.Record(api.Event{Kind: started})
		a.is(t, "1.5s STATUS=demo runs", "1.5s READY=1")(500 * time.Millisecond)
		a.show("demo is upgraded", time.Hour)
		a.Record(api.Event{Kind: begun})
		a.is(t, "2s EXTEND_TIMEOUT_USEC=10000000", "2s STATUS=demo is upgraded", "2s RELOADING=1\nMONOTONIC_USEC=…",
			"3.1s EXTEND_TIMEOUT_USEC=10000000", "4.1s EXTEND_TIMEOUT_USEC=10000000")(2500 * time.Millisecond)
		a.show("demo runs", 0)
		a.Record(api.Event{Kind: "upgrade.committed", Result: &api.Result{}})
		a.is(t, "4.5s STATUS=demo runs", "4.5s READY=1")(time.Hour)
		a.show("demo stops", 700*time.Millisecond)
		stop()
		a.is(t, "1h0m4.5s EXTEND_TIMEOUT_USEC=700000", "1h0m4.5s STATUS=demo stops", "1h0m4.5s STOPPING=1")(100 * time.Millisecond)
	})
}

func TestAStatusThatChangesAllTheTimeIsToldNowAndThen(t *testing.T) {
	perform(t, func(a *act, _ func()) {
		times := 0
		for i := range 1000 {
			a.show(strconv.Itoa(i), 0)
			a.Stir()
			times += len(a.after(time.Millisecond))
		}
		if times < 5 || times > 11 {
			t.Errorf("it was told %d times in a second", times)
		}
		a.show("last", 0)
		a.Stir()
		if heard := a.after(time.Second); len(heard) != 1 || !strings.HasSuffix(heard[0], "STATUS=last") {
			t.Errorf("the end of it: %q", heard)
		}
	})
}

func TestAnAgentThatEndsByItselfSaysThatItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listen(t, 0)
		n := NewNotifier(m.Manager, func() View { return View{} })
		over, end := context.WithCancel(t.Context())
		end()
		n.Run(over, over)
		if diff := cmp.Diff([]string{"0s STOPPING=1"}, m.heard()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheWatchdogIsFedAtHalfItsTimeWhileThereIsNoObjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listen(t, 2*time.Second)
		n := NewNotifier(m.Manager, nil)
		var hangs atomic.Bool
		life, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			n.Watch(life, func(context.Context) error {
				if hangs.Load() {
					return errors.New("it hangs")
				}
				return nil
			})
		})
		a := &act{hears: m}
		a.is(t, "1s WATCHDOG=1", "2s WATCHDOG=1")(2500 * time.Millisecond)
		hangs.Store(true)
		if heard := a.after(5 * time.Second); heard != nil {
			t.Errorf("it is fed: %q", heard)
		}
		hangs.Store(false)
		a.is(t, "8s WATCHDOG=1")(time.Second)
		end()
		running.Wait()
	})
}

func TestAnAnswerThatDoesNotComeIsAnObjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := listen(t, 2*time.Second)
		n := NewNotifier(m.Manager, nil)
		life, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			n.Watch(life, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
		})
		if heard := (&act{hears: m}).after(time.Minute); heard != nil {
			t.Errorf("it is fed: %q", heard)
		}
		end()
		running.Wait()
	})
}
