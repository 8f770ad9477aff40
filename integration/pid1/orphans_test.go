package pid1

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
)

// A shell's (… &) leaves a process whose parent ends at once. Its group is the command's, unless setsid is
// before the shell.

func TestAnOrphanIsGoneWithinATenthOfASecond(t *testing.T) {
	r := start(t, scene{command: shell(`n=0; while [ $n -lt 20 ]; do (sleep 1000 &); n=$((n+1)); done; echo ready; exec sleep 1000`)})
	r.expect("ready")
	command := commandOf(r)
	var orphans []int
	eventually(t, "the orphans are there", func() bool {
		orphans = slices.DeleteFunc(children(r.first()), func(pid int) bool {
			return name(pid) != "sleep" || pid == command
		})
		return len(orphans) == 20
	})
	var took []time.Duration
	for _, pid := range orphans {
		died := time.Now()
		tell(t, pid, unix.SIGKILL)
		eventually(t, "the orphan is reaped", func() bool { return state(pid) == "" })
		took = append(took, time.Since(died))
	}
	slices.Sort(took)
	if took[0] > 100*time.Millisecond { // what else the machine does is in the others
		t.Errorf("they took %v", took)
	}
}

// name is the program that pid runs.
func name(pid int) string { return field(pid, "Name") }

// commandOf is the command under the agent, which is the first that it started: by the pids of its namespace, for those of
// this one may have begun anew.
func commandOf(r *run) int {
	return slices.MinFunc(children(r.first()), func(a, b int) int { return cmp.Compare(inner(a), inner(b)) })
}

// inner is a pid in the namespace of its own.
func inner(pid int) int {
	pids := field(pid, "NSpid")
	n, _ := strconv.Atoi(pids[strings.LastIndexByte(pids, '\t')+1:])
	return n
}

// rss is VmRSS in KiB.
func rss(pid int) int {
	kib, _ := strconv.Atoi(strings.TrimSuffix(field(pid, "VmRSS"), " kB"))
	return kib
}

func TestTenThousandOrphansThatDieAtOnceLeaveNothingBehind(t *testing.T) {
	const orphans = 10000
	r := start(t, scene{command: shell(fmt.Sprintf(`trap 'exit 7' USR1
		setsid sh -c 'f=$(mktemp -u); mkfifo $f; exec 3<>$f; rm $f
			n=0; while [ $n -lt %d ]; do (read x <&3) & n=$((n+1)); [ $((n%%100)) = 0 ] && echo $n; done'
		echo ready; while :; do sleep 0.05; done`, orphans))})
	for line := ""; line != "ready"; {
		line = r.line()
	}
	var crowd []int
	eventually(t, "all orphans are the agent's", func() bool { crowd = children(r.first()); return len(crowd) > orphans })
	group, err := unix.Getpgid(crowd[len(crowd)/2])
	if err != nil {
		t.Fatal(err)
	}
	before := rss(r.first())
	tell(t, -group, unix.SIGKILL)
	eventually(t, "only the command is left", func() bool { return len(children(r.first())) == 1 }) // how fast, bench/init measures
	if grown := rss(r.first()) - before; grown >= 1024 {
		t.Errorf("the agent grew by %d KiB", grown)
	}
	r.signal(unix.SIGUSR1)
	r.ends(7)
}

// The hundred hold the end of a pipe whose other end is the command, so that its end is theirs.
// AGENT_TEST_REPEAT says how often.
func TestTheEndOfTheCommandAndOfAHundredOrphansAtOnceIsTheCommands(t *testing.T) {
	for n := range repetitions(t, 30) {
		code := n % 256
		start(t, scene{command: shell(fmt.Sprintf(`f=$(mktemp -u); mkfifo $f; exec 3<>$f 4<$f 5>$f 3>&-; rm $f
			n=0; while [ $n -lt 100 ]; do (read x <&4) 5>&- & n=$((n+1)); done; exit %d`, code))}).ends(code)
	}
}

// repetitions is how often something is done that goes wrong rarely.
func repetitions(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("AGENT_TEST_REPEAT")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// As docker exec does: a process that comes into the namespace from outside has no parent there.
func TestWhatAnOperatorLeavesRunningIsReapedAndNotSignalled(t *testing.T) {
	need.Tool(t, "nsenter")
	r := start(t, scene{command: shell(`trap 'echo heard' USR1; echo ready; while :; do sleep 0.05; done`)})
	r.expect("ready")
	before := children(r.first())
	enter(t, r.first(), `exec >/dev/null 2>&1; setsid sleep 4711 & sleep 4711 &`)
	var left []int
	eventually(t, "both are the agent's", func() bool {
		left = slices.DeleteFunc(children(r.first()), func(pid int) bool { return slices.Contains(before, pid) || name(pid) != "sleep" })
		return len(left) == 2
	})
	r.signal(unix.SIGUSR1)
	r.expect("heard")
	for _, pid := range left {
		if now := state(pid); now == "" || now == "Z" {
			t.Errorf("%d is in state %q", pid, now)
		}
		tell(t, pid, unix.SIGTERM)
		eventually(t, "it is reaped", func() bool { return state(pid) == "" })
	}
}

// The USR1 that comes when nobody is there any more.
func TestASignalToACommandThatJustDiedEndsNothing(t *testing.T) {
	for range 50 {
		r := start(t, scene{command: shell(`trap "" USR1; echo ready; exit 3`)})
		r.expect("ready")
		for ended := false; !ended; {
			select {
			case <-r.ended:
				ended = true
			default:
				_ = unix.Kill(r.first(), unix.SIGUSR1)
			}
		}
		r.ends(3)
	}
}

func TestWhatTheCommandLeavesHasTimeToCleanUp(t *testing.T) {
	r := start(t, scene{flags: []string{"--grace", "1m"}, before: held, command: shell(`(trap 'sleep 1; echo clean; exit' TERM; echo ready; while :; do sleep 0.05; done) &
		read x; exit 5`)})
	r.expect("ready")
	r.signal(unix.SIGTERM) // the command has no handler
	r.expect("clean")
	r.ends(143)
}

func TestWhatTheCommandLeavesIsKilledWhenItsTimeIsUp(t *testing.T) {
	r := start(t, scene{flags: []string{"--grace", "10s"}, command: shell(`trap 'exit 5' USR1
		(trap 'echo told' TERM; echo ready; while :; do sleep 0.05; done) & while :; do sleep 0.05; done`)})
	r.expect("ready")
	begun := time.Now()
	r.signal(unix.SIGUSR1)
	r.expect("told")
	r.ends(5)
	if took := time.Since(begun); took < 10*time.Second {
		t.Errorf("after only %v", took)
	}
	if !strings.Contains(r.stderr.String(), "they are killed after=10s") {
		t.Errorf("stderr is %q", &r.stderr)
	}
}
