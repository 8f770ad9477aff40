package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent"
	"theseus/integration/program"
	"theseus/volume/hostile"
)

const (
	mostMemory = 256 << 20   // bytes of the agent's process, whatever the package
	mostTime   = time.Minute // of a processor: how long that takes is the machine's affair
)

// TestEveryHostilePackageIsRefusedByTheCommand lets the real binary look at each package, in the midst of files that
// nothing may touch.
func TestEveryHostilePackageIsRefusedByTheCommand(t *testing.T) {
	v := newVerifier(t)
	for _, c := range hostile.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			status, answer := v.verify(t, c)
			if status != exitRefused || answer.Code != c.Code || !strings.Contains(answer.Message, c.Words) {
				t.Errorf("status %d, %s: %s; want %d, %s: %s", status, answer.Code, answer.Message, exitRefused, c.Code, c.Words)
			}
		})
	}
	if v.packages < 120 {
		t.Errorf("they are only %d packages", v.packages)
	}
	t.Logf("%d packages, at most %d MiB (%s) and %s (%s)", v.packages, v.memory>>20, v.largest, v.time.Round(time.Millisecond), v.slowest)
}

func TestEveryOddButLegalPackageIsAcceptedByTheCommand(t *testing.T) {
	v := newVerifier(t)
	for _, c := range hostile.Legal() {
		t.Run(c.Name, func(t *testing.T) {
			if status, answer := v.verify(t, c); status != 0 {
				t.Errorf("status %d, %s: %s", status, answer.Code, answer.Message)
			}
		})
	}
	if v.packages < 10 {
		t.Errorf("they are only %d packages", v.packages)
	}
	t.Logf("%d packages, at most %d MiB (%s) and %s (%s)", v.packages, v.memory>>20, v.largest, v.time.Round(time.Millisecond), v.slowest)
}

// verifier runs agent verify in a directory of its own, with an OTP that is no more than directories.
type verifier struct {
	agent, measure, dir string
	base                hostile.Base

	packages         int
	memory           int64
	time             time.Duration
	largest, slowest string
}

type told struct{ Code, Message string }

func newVerifier(t *testing.T) *verifier {
	t.Helper()
	dir, err := os.MkdirTemp("", "hostile") //nolint:usetesting // a short name, for headers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := &verifier{agent: filepath.Join(t.TempDir(), "agent"), dir: dir}
	if v.measure, err = exec.LookPath("measured"); err != nil {
		t.Fatal(err)
	}
	program.Build(t, v.agent, "theseus/cmd/agent")
	v.base = hostile.Base{Name: "demo", Version: "1.1.0", ERTS: "13.1.5", Kernel: "8.5.3", Stdlib: "4.2", Outside: filepath.Join(dir, "outside")}
	for _, name := range []string{"otp/bin", "otp/erts-13.1.5", "otp/lib/kernel-8.5.3", "otp/lib/stdlib-4.2", "outside", "tmp", "tmp/outside"} {
		mkdir(t, filepath.Join(dir, name))
	}
	for _, name := range []string{"otp/bin/erl", "outside/sentinel", "tmp/outside/sentinel", "sentinel"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("sentinel"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

// verify makes the package, has it looked at, and compares the directory with what it was.
func (v *verifier) verify(t *testing.T, c hostile.Case) (status int, answer told) {
	t.Helper()
	file := filepath.Join(v.dir, "p.tar.gz")
	writePackage(t, file, c, v.base)
	before := v.tree(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*mostTime)
	defer cancel()
	report := filepath.Join(t.TempDir(), "report")
	cmd := exec.CommandContext(ctx, v.measure, report, v.agent, "verify", "--json", file)
	cmd.Env = []string{"PATH=" + filepath.Join(v.dir, "otp/bin"), "TMPDIR=" + filepath.Join(v.dir, "tmp"), "AGENT_PACKAGE_LIMITS=" + c.Limits}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if diff := cmp.Diff(before, v.tree(t)); diff != "" {
		t.Errorf("files have changed:\n%s", diff)
	}
	var said struct{ Error told }
	if err := json.Unmarshal(out.Bytes(), &said); err != nil || errs.Len() > 0 {
		t.Errorf("it says %.300q %.300q", out.String(), errs.String())
	}
	return v.note(t, c.Name, report), said.Error
}

// used is what a process has used.
type used struct {
	Status int
	Bytes  int64
	Time   time.Duration
}

// measured runs a command and writes what it used: measured REPORT COMMAND ARGS… A process is said to use at least what
// the one had that started it (getrusage(2)), so that must be a small one, which this test is not.
func measured() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	u := used{Status: status(err), Time: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Bytes = usage.Maxrss << 10
	}
	report, err := json.Marshal(u)
	if err == nil {
		err = os.WriteFile(os.Args[1], report, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// note holds the process to its memory and time, and returns its status.
func (v *verifier) note(t *testing.T, name, report string) int {
	t.Helper()
	var u used
	text, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(text, &u)
	}
	if err != nil || u.Bytes == 0 {
		t.Fatalf("nothing is known of what it used: %v", err)
	}
	if u.Bytes > mostMemory {
		t.Errorf("it took %d MiB", u.Bytes>>20)
	}
	if u.Time > mostTime {
		t.Errorf("it took %s", u.Time)
	}
	v.packages++
	if u.Bytes > v.memory {
		v.memory, v.largest = u.Bytes, name
	}
	if u.Time > v.time {
		v.time, v.slowest = u.Time, name
	}
	t.Logf("%d MiB, %s", u.Bytes>>20, u.Time.Round(time.Millisecond))
	return u.Status
}

func writePackage(t *testing.T, file string, c hostile.Case, base hostile.Base) {
	t.Helper()
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(c.Write(f, base), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (v *verifier) tree(t *testing.T) map[string]string {
	t.Helper()
	found, err := hostile.Tree(v.dir, "tmp")
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestEveryHostilePackageIsRefusedByARunningAgent brings them to an agent whose node goes on as if nothing had come.
func TestEveryHostilePackageIsRefusedByARunningAgent(t *testing.T) {
	packages := makePackages(t)
	v := newVerifier(t)
	v.base.Name = "cnt"
	v.useOTP(t)
	env := append(os.Environ(), "AGENT_VOLUME="+filepath.Join(v.dir, "volume"), "AGENT_SEED="+filepath.Join(packages, "cnt-1.0.0.tar.gz"),
		"AGENT_RUN_DIR="+filepath.Join(v.dir, "run"), "HOME="+v.dir, "TMPDIR="+filepath.Join(v.dir, "tmp"))
	v.start(t, env)
	before := v.volumeTree(t)
	_, releases := v.run(t, env, "releases", "--json")
	refused := 0
	for _, c := range hostile.Cases() {
		if c.Limits != "" { // those are of the agent that runs
			continue
		}
		file := filepath.Join(t.TempDir(), "p.tar.gz")
		writePackage(t, file, c, v.base)
		if status, said := v.run(t, env, "upgrade", file); status != exitRefused || !strings.Contains(said, c.Words) || !strings.Contains(said, "cnt 1.0.0 still runs, nothing was changed") {
			t.Errorf("%s: status %d: %s", c.Name, status, said)
		}
		refused++
	}
	if diff := cmp.Diff(before, v.volumeTree(t)); diff != "" {
		t.Errorf("files have changed:\n%s", diff)
	}
	if _, now := v.run(t, env, "releases", "--json"); now != releases {
		t.Errorf("the releases were %s, and are %s", releases, now)
	}
	if status, said := v.run(t, env, "rpc", "application", "which_applications"); status != 0 || !strings.Contains(said, `{cnt,"a counter","1.0.0"}`) {
		t.Errorf("status %d: %s", status, said)
	}
	t.Logf("%d packages were refused", refused)
}

// useOTP makes the release one for the OTP that is here.
func (v *verifier) useOTP(t *testing.T) {
	t.Helper()
	image, err := agent.DetectImage()
	if err != nil {
		t.Fatal(err)
	}
	version := func(app string) string {
		found, err := filepath.Glob(filepath.Join(image.OTPRoot, "lib", app+"-*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s is there as %v, %v", app, found, err)
		}
		return strings.TrimPrefix(filepath.Base(found[0]), app+"-")
	}
	v.base.ERTS, v.base.Kernel, v.base.Stdlib = image.ERTS, version("kernel"), version("stdlib")
}

// start runs an agent until the test ends, in a network of its own where that is allowed.
func (v *verifier) start(t *testing.T, env []string) {
	t.Helper()
	command := []string{v.agent, "run"}
	if exec.CommandContext(t.Context(), "unshare", "-n", "true").Run() == nil {
		command = []string{"unshare", "-n", "sh", "-c", "ip link set lo up && exec " + v.agent + " run"}
	}
	node := exec.CommandContext(context.WithoutCancel(t.Context()), command[0], command[1:]...)
	var log bytes.Buffer
	node.Env, node.Stdout, node.Stderr = env, &log, &log
	node.WaitDelay = patience // a BEAM that outlives its agent holds the pipe
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if status, said := v.run(t, env, "stop"); status != 0 {
			t.Errorf("it cannot be stopped: %s", said)
			_ = node.Process.Kill()
		}
		if err := node.Wait(); err != nil || t.Failed() {
			t.Logf("%v\n%s", err, log.String())
		}
	})
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-again.C {
		if status, _ := v.run(t, env, "health"); status == 0 && v.proven(t) {
			return
		}
	}
	t.Fatal("the node is not up")
}

// proven says that the agent has written what it writes when the boot has gone well for a while: nothing more comes by itself.
func (v *verifier) proven(t *testing.T) bool {
	t.Helper()
	state, err := os.ReadFile(filepath.Join(v.dir, "volume/.agent/state.json"))
	if err != nil {
		t.Fatal(err)
	}
	return !bytes.Contains(state, []byte(`"unproven"`))
}

// run is one command; what it says comes on either stream.
func (v *verifier) run(t *testing.T, env []string, args ...string) (status int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.agent, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// volumeTree is all but what tells of the attempts: the history, and the number of the state.
func (v *verifier) volumeTree(t *testing.T) map[string]string {
	t.Helper()
	found, err := hostile.Tree(filepath.Join(v.dir, "volume"), ".agent", ".agent/packages", ".agent/stage")
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if strings.HasPrefix(name, ".agent/history") || name == ".agent/state.json" {
			delete(found, name)
		}
	}
	return found
}
