package pid1

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"theseus/integration/need"
)

// beside has the agent run below a shell that is PID 1.
const beside = `"$0" "$@"; status=$?; echo "status $status"; exit $status`

// enter runs a shell script in the namespaces of pid, as docker exec would.
func enter(t *testing.T, pid int, script string) {
	t.Helper()
	if out, err := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-p", "-m", "--", "sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestOutsidePID1OrphansComeToTheAgent(t *testing.T) {
	r := start(t, scene{launch: beside, command: shell(`(sleep 1000 &); echo ready; read x`), before: held})
	r.expect("ready")
	agent := only(t, r.first())
	var orphan int
	eventually(t, "the orphan is the agent's", func() bool {
		i := slices.IndexFunc(children(agent), func(pid int) bool { return name(pid) == "sleep" })
		if i >= 0 {
			orphan = children(agent)[i]
		}
		return i >= 0
	})
	tell(t, orphan, unix.SIGKILL)
	eventually(t, "it is reaped", func() bool { return state(orphan) == "" })
	tell(t, agent, unix.SIGTERM)
	r.expect("status 143")
	r.ends(143)
	if text := r.stderr.String(); text != "" {
		t.Errorf("stderr is %q", text)
	}
}

func TestWithoutASubreaperOrphansGoToPID1AndALineSaysSo(t *testing.T) {
	r := start(t, scene{launch: beside, flags: []string{"--subreaper=false"}, command: shell(`(sleep 1000 &); echo ready; read x`), before: held})
	r.expect("ready")
	eventually(t, "the orphan is PID 1's", func() bool {
		return slices.ContainsFunc(children(r.first()), func(pid int) bool { return name(pid) == "sleep" })
	})
	eventually(t, "a line says so", func() bool {
		return strings.Contains(r.stderr.String(), "warn: orphans of the command go to another process") && strings.HasSuffix(r.stderr.String(), "\n")
	})
	if text := r.stderr.String(); strings.Count(text, "\n") != 1 {
		t.Errorf("stderr is %q", text)
	}
}

// held keeps standard input open for a read that gets nothing. A name with $$ would be everybody's: there it is 1.
var held = []string{"f=$(mktemp -u)", "mkfifo $f", "exec 0<>$f", "rm $f"}

// As in a pod that shares its PID namespace, or with the host's.
func TestOutsidePID1OnlyWhatDescendsFromTheAgentIsSignalled(t *testing.T) {
	bystander := `(trap 'echo "a bystander heard TERM"' TERM; trap 'echo "a bystander heard CONT"' CONT; while :; do sleep 0.05; done) &`
	r := start(t, scene{
		launch: beside, before: []string{bystander}, flags: []string{"--grace", "10s"},
		command: shell(`trap 'exit 4' USR1; (trap 'echo told' TERM; echo ready; while :; do sleep 0.05; done) & while :; do sleep 0.05; done`),
	})
	r.expect("ready")
	var agent int
	eventually(t, "the agent is there", func() bool {
		i := slices.IndexFunc(children(r.first()), func(pid int) bool { return name(pid) == "agent" })
		if i >= 0 {
			agent = children(r.first())[i]
		}
		return i >= 0
	})
	tell(t, agent, unix.SIGUSR1)
	r.expect("told")
	r.expect("status 4")
	r.ends(4)
}

func TestBehindAnotherInitStatusesPass(t *testing.T) {
	need.Tool(t, "tini")
	for command, want := range map[string]int{"exit 7": 7, "kill -TERM $$": 143} {
		r := start(t, scene{launch: `exec tini -- "$0" "$@"`, command: shell(command)})
		r.ends(want)
		if text := r.stderr.String(); text != "" {
			t.Errorf("stderr is %q", text)
		}
	}
}

// The end of PID 1 is the end of all, and beside PID 1 the command must not run on with nobody to care: it is
// PID 1's to see that its child has ended.
func TestNoCommandOutlivesTheNamespaceOfAKilledAgent(t *testing.T) {
	r := start(t, scene{command: shell("echo ready; exec sleep 1000")})
	r.expect("ready")
	command := only(t, r.first())
	r.signal(unix.SIGKILL)
	r.ends(-1)
	eventually(t, "the command is gone", func() bool { return state(command) == "" })
}

// AGENT_TEST_USER has every story here run as that user, with no capability and none to be had.
const userVariable = "AGENT_TEST_USER"

// unprivileged is the shell line that becomes that user, and then the agent.
func unprivileged() string {
	user := os.Getenv(userVariable)
	if user == "" {
		return ""
	}
	return fmt.Sprintf(`exec setpriv --reuid %s --regid %s --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$0" "$@"`, user, user)
}

// The user is in no passwd file. What is left out needs a privilege for its scene, not for the agent.
func TestAllOfThisIsSoForAnyUserWithNoPrivilege(t *testing.T) {
	need.Tool(t, "setpriv")
	if os.Getenv(userVariable) != "" {
		return
	}
	self := filepath.Join(filepath.Dir(agent(t)), "pid1.test") // where that user gets to
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, self, string(content), 0o755)
	cmd := exec.Command(self, "-test.run=^("+strings.Join([]string{
		"TestTheCommandsExitCodeIsTheAgents", "TestDeathBySignalIs128AndItsNumber", "TestWhatGoesInComesOutUnchanged",
		"TestOnlyTheStandardFilesAreInherited", "TestSocketsOpenedForTheCommandAreItsOwn",
		"TestTheCommandStartsWithNothingBlockedAndNothingIgnored", "TestEverySignalArrivesOnceAndInOrder",
		"TestTheAgentsOwnSignalsAreNobodyElses", "TestWithGroupTheWholeGroupIsSignalled",
		"TestAnOrphanIsGoneWithinATenthOfASecond", "TestWhatTheCommandLeavesHasTimeToCleanUp",
		"TestWhatTheCommandLeavesIsKilledWhenItsTimeIsUp", "TestAShellOnATerminalHasJobControl",
		"TestTheEndOfTheCommandAndOfAHundredOrphansAtOnceIsTheCommands",
	}, "|")+")$", "-test.count=1")
	cmd.Env = append(os.Environ(), userVariable+"=54321", "AGENT_TEST_REPEAT=5")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
		t.Errorf("as user 54321: %v\n%s", err, out)
	}
}
