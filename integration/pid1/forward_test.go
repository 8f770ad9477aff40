package pid1

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
)

// listener is an agent with a command that says which signals it gets.
func listener(t *testing.T) *run {
	t.Helper()
	r := start(t, scene{role: "listener", command: self()})
	r.expect("ready")
	return r
}

// forwarded are all signals that the agent forwards.
func forwarded() []syscall.Signal {
	var list []syscall.Signal
	for _, sig := range everything() {
		if sig != unix.SIGCHLD {
			list = append(list, sig.(syscall.Signal))
		}
	}
	return list
}

func TestEverySignalArrivesOnceAndInOrder(t *testing.T) {
	r := listener(t)
	all := forwarded()
	for n := range all { // downwards, which is not the order that the kernel or the runtime would choose
		sig := all[len(all)-1-n]
		r.signal(sig)
		r.expect(fmt.Sprintf("signal %d", int(sig)))
	}
	tell(t, r.first(), unix.SIGKILL)
	if more := r.rest(); len(more) > 0 {
		t.Errorf("and more than was sent: %q", more)
	}
}

// Each kind comes again only when it has arrived, for of two that are pending at once the kernel keeps one. CONT is
// left out: a stop signal discards it while it is pending (signal(7)).
func TestAThousandSignalsInThreeSecondsAllArrive(t *testing.T) {
	r := listener(t)
	all := slices.DeleteFunc(forwarded(), func(sig syscall.Signal) bool { return sig == unix.SIGCONT })
	missing := make(map[string]int)
	arrives := func(what string) {
		for missing[what] > 0 {
			missing[r.line()]--
		}
	}
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for n := range 1000 {
		sig := all[n%len(all)]
		what := fmt.Sprintf("signal %d", int(sig))
		arrives(what)
		r.signal(sig)
		missing[what]++
		<-pace.C
	}
	for _, sig := range all {
		arrives(fmt.Sprintf("signal %d", int(sig)))
	}
	tell(t, r.first(), unix.SIGKILL)
	for _, line := range r.rest() {
		missing[line]--
	}
	for what, n := range missing {
		if n != 0 {
			t.Errorf("%s: %d more received than sent", what, -n)
		}
	}
}

// The Go runtime preempts goroutines with URG, and children die with CHLD.
func TestTheAgentsOwnSignalsAreNobodyElses(t *testing.T) {
	r := start(t, scene{command: shell(`
		for s in URG PROF; do trap "echo $s" $s; done
		trap 'echo done; exit 0' 40
		n=0; while [ $n -lt 50 ]; do (sh -c : &); n=$((n+1)); done
		echo ready; while :; do sleep 0.01; done`)})
	r.expect("ready")
	for range 200 {
		r.signal(unix.SIGURG)
		r.signal(unix.SIGPROF)
		r.signal(unix.SIGCHLD)
	}
	r.signal(40) // which is behind them wherever signals queue by number
	r.expect("done")
	r.ends(0)
}

// What keeps the agent busy are orphans and signals, and the runtime preempts whom it finds at work. The command
// would tell of any signal that was not sent. AGENT_TEST_BUSY says how long.
func TestABusyAgentSendsNoSignalOfItsOwn(t *testing.T) {
	need.Tool(t, "bash")
	length := 3 * time.Second
	if text := os.Getenv("AGENT_TEST_BUSY"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	r := start(t, scene{before: []string{"export GOGC=1"}, command: []string{"bash", "-c", `
		for s in {1..8} {10..16} 18 {20..31} {35..62} 64; do trap "echo $s" $s; done
		(setsid sh -c 'while :; do (:&); done' &)
		trap 'exit 9' 40; trap : 10
		echo ready; while :; do sleep 0.05; done`}})
	r.expect("ready")
	deadline := time.Now().Add(length)
	for sent := time.NewTicker(time.Millisecond); time.Now().Before(deadline); <-sent.C {
		r.signal(unix.SIGUSR1)
	}
	r.signal(40)
	if said := r.rest(); len(said) > 0 {
		t.Errorf("the command had signals that nobody sent: %q", said)
	}
	r.ends(9)
}

func TestWithGroupTheWholeGroupIsSignalled(t *testing.T) {
	r := start(t, scene{flags: []string{"--group"}, command: shell(`
		trap "wait; echo above; exit 4" USR1
		sh -c 'trap "echo below; exit" USR1; echo ready; while :; do sleep 0.01; done' &
		wait; wait`)})
	r.expect("ready")
	r.signal(unix.SIGUSR1)
	r.expect("below")
	r.expect("above")
	r.ends(4)
}

// One that has changed its user, for an agent that may not signal other users' processes.
func TestASignalThatMayNotBeSentIsALineInTheLog(t *testing.T) {
	need.Tool(t, "setpriv")
	r := start(t, scene{
		launch:  `exec setpriv --bounding-set=-kill "$0" "$@"`,
		command: []string{"setpriv", "--reuid", "1000", "--clear-groups", "sh", "-c", "echo ready; read line; exit 6"},
		before:  held,
	})
	r.expect("ready")
	command := only(t, r.first())
	for range 3 {
		r.signal(unix.SIGTERM)
	}
	eventually(t, "the log says so", func() bool {
		return strings.Contains(r.stderr.String(), "cannot forward a signal") && strings.Contains(r.stderr.String(), "operation not permitted")
	})
	if state(r.first()) == "" || state(command) == "" {
		t.Error("somebody has ended")
	}
}

// Before its runtime is up, the agent is like any PID 1 that has no handler: the kernel drops TERM. From then
// until it takes signals, Go ends a PID 1 with status 2. CONT has a handler only once they are taken.
func TestTermAtAnyMomentOfTheStartEndsTheContainer(t *testing.T) {
	for shot := range 200 {
		r := start(t, scene{command: shell("exec sleep 1000")})
		<-time.After(time.Duration(shot) * 100 * time.Microsecond) // when TERM comes is what is tested
		taken := catches(r.first(), unix.SIGCONT)
		_ = unix.Kill(r.first(), unix.SIGTERM)
		again := time.NewTicker(50 * time.Millisecond)
		for ended := false; !ended; {
			select {
			case <-r.ended:
				ended = true
			case <-again.C:
				if taken {
					<-r.ended // once is enough
				}
				_ = unix.Kill(r.first(), unix.SIGTERM)
			}
		}
		again.Stop()
		if got := r.status(); got != 143 && (taken || got != 2 && got != -1) {
			t.Errorf("TERM %d µs after the start: exit status %d, signals taken: %v", shot*100, got, taken)
		}
	}
}

// catches says whether pid has a handler for sig.
func catches(pid int, sig syscall.Signal) bool {
	mask, _ := strconv.ParseUint(field(pid, "SigCgt"), 16, 64)
	return mask&(1<<(sig-1)) != 0
}
