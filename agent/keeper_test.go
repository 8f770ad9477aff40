package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/signals"
	"theseus/volume"
)

// The nodes here are shell scripts in the place of erlexec. None of them is ever up; what follows their ends does
// not depend on that. Stories of real nodes are those of cmd/agent and integration.
const (
	waits = "exec sleep 1000"
	lacks = "# it is never launched: its sys.config asks for NO_SUCH_PORT"
	deaf  = "trap '' TERM; echo >deaf; while :; do sleep 0.1; done"
)

// kept is a keeper with a volume of releases, whose nodes are those scripts.
type kept struct {
	*keeper
	t *testing.T
}

func keep(t *testing.T, nodes map[string]string) kept {
	t.Helper()
	t.Parallel()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	init, err := signals.New(log)
	if err != nil {
		t.Fatal(err)
	}
	v := makeVolume(t, nodes)
	c := Config{RunDir: t.TempDir(), StopTimeout: time.Minute, BootTimeout: time.Minute}
	return kept{newKeeper(c, os.Environ(), v, init, &journal{log: log, volume: v}), t}
}

// makeVolume publishes a release for each node. Its erlexec runs the script of the version.
func makeVolume(t *testing.T, nodes map[string]string) *volume.Volume {
	t.Helper()
	v, err := volume.Open(filepath.Join(t.TempDir(), "release"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	for version, script := range nodes {
		publish(t, v, demo(version, script))
	}
	if err := v.Seed("1.0.0", "digest"); err != nil {
		t.Fatal(err)
	}
	return v
}

// demo are the files of a package whose erlexec runs a script.
func demo(version, script string) map[string]string {
	dir := "releases/" + version + "/"
	files := map[string]string{
		"erts-1/bin/erlexec":                     "#!/bin/sh\n. $ROOTDIR/releases/$RELEASE_VSN/node\n",
		"lib/demo-" + version + "/ebin/demo.app": "{application,demo,[]}.",
		dir + "demo.rel":                         fmt.Sprintf(`{release,{"demo",%q},{erts,"1"},[{demo,%q}]}.`, version, version),
		dir + "start.boot":                       "",
		dir + "sys.config":                       "[].",
		dir + "node":                             script,
	}
	if script == lacks {
		delete(files, dir+"sys.config")
		files[dir+"sys.config.src"] = "[{demo,[{port,${NO_SUCH_PORT}}]}]."
	}
	return files
}

func publish(t *testing.T, v *volume.Volume, files map[string]string) {
	t.Helper()
	pkg, err := v.Receive(t.Context(), bytes.NewReader(pack(t, files)), nil)
	if err != nil {
		t.Fatal(err)
	}
	staged, err := v.Stage(t.Context(), pkg, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := staged.Publish(volume.Image{}); err != nil {
		t.Fatal(err)
	}
}

func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content))})
		if err == nil {
			_, err = io.WriteString(archive, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// run keeps version until the keeper is through, and returns the status that the agent would end with.
func (k kept) run(ctx context.Context, version string) int {
	k.t.Helper()
	status, err := k.keeper.run(ctx, version)
	if err != nil {
		k.t.Errorf("the keeper of %s: %v", version, err)
	}
	return status
}

// await returns when a condition of the keeper holds.
func (k kept) await(what string, condition func() bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 3*time.Minute)
	defer cancel()
	if err := k.wait(ctx, func() (bool, error) { return condition(), nil }); err != nil {
		k.t.Errorf("%s did not come: %v", what, err)
	}
}

func (k kept) runs(version string) {
	k.t.Helper()
	k.await("the node of "+version, func() bool { return k.node != nil && k.node.version == version && !k.node.down })
}

// lives are the launches and ends in the history.
func (k kept) lives() []string {
	k.t.Helper()
	lines, err := k.volume.History(0)
	if err != nil {
		k.t.Fatal(err)
	}
	var lives []string
	for _, line := range lines {
		for _, kind := range []string{"launched", "ended"} {
			if bytes.Contains(line, []byte(`"kind":"node.`+kind+`"`)) {
				_, version, _ := strings.Cut(string(line), `"version":"`)
				version, _, _ = strings.Cut(version, `"`)
				lives = append(lives, version+" "+kind)
			}
		}
	}
	return lives
}

func TestTheAgentEndsWithTheStatusOfANodeThatEndsUnasked(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -KILL $$": 137, "kill -ABRT $$": 134} {
		t.Run(script, func(t *testing.T) {
			if got := keep(t, map[string]string{"1.0.0": script}).run(t.Context(), "1.0.0"); got != want {
				t.Errorf("the agent ends with %d, not %d", got, want)
			}
		})
	}
}

func TestAProtectedReleaseIsBootedWhenTheNodeEnds(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits, "1.1.0": "exit 3"})
	ctx, stop := context.WithCancel(t.Context())
	k.Protect("1.0.0")
	go func() {
		k.runs("1.0.0")
		stop()
	}()
	if got := k.run(ctx, "1.1.0"); got != 143 {
		t.Errorf("the agent ends with %d", got)
	}
	if diff := cmp.Diff([]string{"1.1.0 launched", "1.1.0 ended", "1.0.0 launched", "1.0.0 ended"}, k.lives()); diff != "" {
		t.Error(diff)
	}
}

func TestAProtectedReleaseIsBootedWhereTheOtherCannotBeLaunched(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": "sleep 1; exit 3"})
	k.Protect("1.0.0")
	go func() {
		k.runs("1.0.0")
		k.Protect("")
	}()
	if got, err := k.keeper.run(t.Context(), "1.1.0"); got != 3 || err != nil {
		t.Errorf("the agent ends with %d, %v", got, err)
	}
}

func TestANodeThatDoesNotStopIsKilled(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": deaf})
	k.config.StopTimeout = 200 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		awaitFile(t, k.volume.Path("deaf"))
		stop()
	}()
	if got := k.run(ctx, "1.0.0"); got != 137 {
		t.Errorf("the agent ends with %d", got)
	}
}

func awaitFile(t *testing.T, path string) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); <-poll.C {
		if exists(path) {
			return
		}
	}
	t.Errorf("%s did not come", path)
}

func TestARestartIntoAReleaseThatDoesNotBootFails(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits, "1.1.0": "exit 3"})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.runs("1.0.0")
	first, _ := k.current()
	k.Protect("1.0.0")
	again := make(chan struct{})
	go func() { // the restart may see the end of 1.1.0, or no more than what boots in its place
		defer close(again)
		k.await("the node of 1.0.0 again", func() bool { return k.node != first && k.node.version == "1.0.0" && !k.node.down })
		if _, _, err := k.Running(); err == nil || err.Error() != "the node is booting" {
			t.Errorf("after the restart: %v", err)
		}
		k.update(func() { k.node.up = true })
	}()
	if err := k.Restart(ctx, "1.1.0"); err == nil || err.Error() != "the node of 1.1.0 ended while it booted" {
		t.Errorf("the restart ended with %v", err)
	}
	<-again
	stop()
	<-over
	want := []string{"1.0.0 launched", "1.0.0 ended", "1.1.0 launched", "1.1.0 ended", "1.0.0 launched", "1.0.0 ended"}
	if diff := cmp.Diff(want, k.lives()); diff != "" {
		t.Error(diff)
	}
}

// TestARestartThatComesTooLateIsForgotten: the node has ended, and what follows it is decided but not launched yet.
func TestARestartThatComesTooLateIsForgotten(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	k.next = "1.1.0"
	node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.end(node)
	if state := k.state(); state != api.NodeBooting {
		t.Errorf("the node is %s", state)
	}
	if next := k.follow(t.Context(), node, ending{}); next.action != endAgent {
		t.Errorf("its end is followed by %s", next.version)
	}
}

func TestWhoWaitsForTheNodeHearsThatTheAgentStops(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.runs("1.0.0")
	stop()
	if err := k.Await(t.Context(), k.node); !errors.Is(err, errStopping) {
		t.Errorf("waited, and heard %v", err)
	}
	<-over
}

// counts gives each launch of a script its number.
const counts = "echo x >>launches; n=$(grep -c x launches); "

func TestANodeThatFailsIsRestartedUntilThePolicyGivesUp(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": counts + "exit $n"})
	k.config.Restart, k.config.RestartDelay, k.config.RestartLimit = RestartOnFailure, time.Millisecond, 3
	if got := k.run(t.Context(), "1.0.0"); got != 4 {
		t.Errorf("the agent ends with %d", got)
	}
	node, _ := k.snapshot()
	if node.Restarts.Count != 3 || node.Restarts.Last != "exit status 3" {
		t.Errorf("restarts: %+v", node.Restarts)
	}
}

func TestANodeThatWasSteadyBeginsANewRowOfRestarts(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": counts + "exit $n"})
	k.config.Restart, k.config.RestartDelay, k.config.RestartLimit = RestartAlways, time.Millisecond, 3
	node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	exit := node.process.Exit()
	k.row, k.first, node.up, node.since = 3, "the first dump", true, time.Now().Add(-2*steadyTime)
	if r := k.follow(t.Context(), node, ending{exit: exit}); r.action != bootLater || k.row != 1 || k.first != "" {
		t.Errorf("%+v, %d in a row", r, k.row)
	}
}

func TestAStopDuringTheBackOffEndsTheAgentAtOnce(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": "exit 7"})
	k.config.Restart, k.config.RestartDelay, k.config.RestartLimit = RestartAlways, time.Hour, 3
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.await("the back-off", func() bool { return k.state() == api.NodeRestarting })
	if _, _, err := k.Running(); err == nil || !strings.Contains(err.Error(), "the node is down, and restarted in ") {
		t.Errorf("who needs the node hears %v", err)
	}
	stop()
	if got := <-over; got != 0 {
		t.Errorf("the agent ends with %d", got)
	}
}

func TestTheBackOffLastsAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{changed: make(chan struct{})}
		begun := time.Now()
		k.pause(t.Context(), maxDelay)
		if took := time.Since(begun); took != maxDelay {
			t.Errorf("%s", took)
		}
	})
}

func TestHeartInVMArgsMakesTheAgentTheRestarter(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	write(t, filepath.Join(k.volume.ReleaseDir("1.0.0"), "vm.args"), "-heart\n")
	if got := k.policy(k.volume.State().Releases["1.0.0"].Version); got != RestartOnFailure {
		t.Errorf("the policy is %s", got)
	}
}

func TestAReleaseThatIsNotThereIsNotBooted(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	if status, err := k.keeper.run(t.Context(), "2.0.0"); status != 1 || err == nil || err.Error() != "cannot boot 2.0.0: it is not on the volume" {
		t.Errorf("status %d, %v", status, err)
	}
}

func TestWhatGaveWayAtTheStartIsNotBootedByThePolicy(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": counts + "exit 3", "2.0.0": waits})
	k.config.Restart, k.config.RestartLimit, k.config.RestartDelay = RestartOnFailure, 1, time.Millisecond
	if err := k.volume.Seed("2.0.0", "other digest"); err != nil {
		t.Fatal(err)
	}
	if got := k.run(t.Context(), "1.0.0"); got != 3 {
		t.Errorf("the agent ends with %d", got)
	}
	want := []string{"1.0.0 launched", "1.0.0 ended", "1.0.0 launched", "1.0.0 ended"}
	if diff := cmp.Diff(want, k.lives()); diff != "" {
		t.Error(diff)
	}
}

func TestARestartIntoAnotherReleaseEndsTheBackOff(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": "exit 3", "1.1.0": waits})
	k.config.Restart, k.config.RestartDelay = RestartAlways, time.Hour
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.await("the back-off", func() bool { return k.node != nil && k.state() == api.NodeRestarting })
	asked := make(chan error)
	go func() { asked <- k.Restart(ctx, "1.1.0") }()
	k.runs("1.1.0")
	stop()
	if err := <-asked; !errors.Is(err, errStopping) && !errors.Is(err, context.Canceled) {
		t.Errorf("the restart ended with %v", err)
	}
	<-over
}

// TestARestartIntoWhatCannotBeLaunchedIsTriedOnce: the release before it is booted, and the error says why.
func TestARestartIntoWhatCannotBeLaunchedIsTriedOnce(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits, "1.1.0": lacks})
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.runs("1.0.0")
	first, _ := k.current()
	k.Protect("1.0.0")
	go func() {
		k.await("the node of 1.0.0 again", func() bool { return k.node != first && !k.node.down })
		k.update(func() { k.node.up = true })
	}()
	if err := k.Restart(ctx, "1.1.0"); err == nil || !strings.Contains(err.Error(), "NO_SUCH_PORT") {
		t.Errorf("the restart ended with %v", err)
	}
	stop()
	<-over
	want := []string{"1.0.0 launched", "1.0.0 ended", "1.0.0 launched", "1.0.0 ended"}
	if diff := cmp.Diff(want, k.lives()); diff != "" {
		t.Error(diff)
	}
}

// TestARestartLeadsOutOfWhatCannotBeLaunched: also before anything was.
func TestARestartLeadsOutOfWhatCannotBeLaunched(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": lacks, "1.1.0": waits})
	k.Protect("1.0.0")
	ctx, stop := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() { asked <- k.Restart(ctx, "1.1.0") }()
	k.await("the request", func() bool { return k.next == "1.1.0" })
	over := make(chan int)
	go func() { over <- k.run(ctx, "1.0.0") }()
	k.runs("1.1.0")
	k.update(func() { k.node.up = true })
	if err := <-asked; err != nil {
		t.Errorf("the restart ended with %v", err)
	}
	stop()
	<-over
}
