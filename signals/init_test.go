package signals

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// receive is the next request to stop.
func receive(t *testing.T, i *Init) os.Signal {
	t.Helper()
	select {
	case sig := <-i.Stops():
		return sig
	case <-time.After(patience):
		t.Fatal("no request to stop came")
		return nil
	}
}

func kill(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func TestStopSignalsArriveAsRequestsInOrder(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, _ := running(t)
	want := []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM}
	var got []os.Signal
	for _, sig := range want {
		kill(t, sig.(syscall.Signal))
		got = append(got, receive(t, i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestOtherSignalsEndNothingAndAreLoggedOnce(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, log := running(t)
	for range 3 {
		for _, sig := range ignoredSignals {
			kill(t, sig.(syscall.Signal))
		}
		kill(t, unix.SIGTERM) // what follows arrives after what went before
		receive(t, i)
	}
	eventually(t, "all are logged", func() bool { return log.count("ignored a signal") == len(ignoredSignals) })
	for _, sig := range ignoredSignals {
		if name := signalName(sig.(syscall.Signal)); log.count("signal="+name+"\n") != 1 {
			t.Errorf("%s is not logged exactly once", name)
		}
	}
}

// The Go runtime sends itself URG to preempt goroutines, as many as it likes.
func TestPreemptionIsNoSignalToAnyone(t *testing.T) {
	if !asPID1(t) {
		return
	}
	i, log := running(t)
	spin, stop := context.WithCancel(context.Background())
	go func() {
		for spin.Err() == nil {
			runtime.Gosched()
		}
	}()
	for range 100 {
		kill(t, unix.SIGURG)
		runtime.GC()
	}
	stop()
	kill(t, unix.SIGTERM)
	if got := receive(t, i); got != unix.SIGTERM {
		t.Errorf("got %v", got)
	}
	if n := log.count("signal"); n != 0 {
		t.Errorf("%d lines logged", n)
	}
}

func TestClosedReaderOfStdoutEndsNothing(t *testing.T) {
	if !asPID1(t) {
		return
	}
	if _, err := New(slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	stdout, err := unix.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup2(int(writer.Fd()), 1); err != nil {
		t.Fatal(err)
	}
	_, failed := os.Stdout.WriteString("into the void\n")
	if err := unix.Dup2(stdout, 1); err != nil {
		t.Fatal(err)
	}
	if failed == nil {
		t.Error("the pipe was not broken")
	}
}
