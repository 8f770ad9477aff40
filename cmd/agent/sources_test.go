package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/plugin/host"
	"theseus/agent/source"
	"theseus/agent/source/sourcetest"
	"theseus/integration/program"
	"theseus/integration/registry"
)

// TestASourceThatFailsLeavesNothingOnTheVolume: each way of a web server with an agent and a node that run, and after each
// the volume is as it was before.
func TestASourceThatFailsLeavesNothingOnTheVolume(t *testing.T) {
	o := newOperator(t)
	cases := sourcetest.Cases()
	web := sourcetest.NewWeb(t, o.pkg, cases)
	before := o.volumeTree(t)
	for i, c := range cases {
		o.pace = c.Pace()
		status, said := o.does(t, "unpack", "--sha256", o.digest, web.Package(i))
		if c.Code == "" {
			if status != exitDone {
				t.Errorf("%s: status %d: %s", c.Name, status, said)
			}
			status, said = o.does(t, "remove", "1.1.0")
			before = o.volumeTree(t) // whose directories have another time
		} else if !c.Tells(said) || !strings.Contains(said, "nothing was changed") {
			t.Errorf("%s: it says %s", c.Name, said)
		}
		if want := map[string]int{"": exitDone, source.CodeLost: exitError}; status != orRefused(want, c.Code) {
			t.Errorf("%s: status %d: %s", c.Name, status, said)
		}
		if diff := cmp.Diff(before, o.volumeTree(t)); diff != "" {
			t.Fatalf("%s: files have changed:\n%s", c.Name, diff)
		}
	}
	o.installsWhatIsCut(t)
}

func orRefused(statuses map[string]int, code string) int {
	if status, known := statuses[code]; known {
		return status
	}
	return exitRefused
}

// installsWhatIsCut upgrades in service from a source that is cut again and again, and the state of the node is kept.
func (o *operator) installsWhatIsCut(t *testing.T) {
	t.Helper()
	cases := sourcetest.Cases()
	for i, c := range cases {
		if c.Name != "cut again and again" {
			continue
		}
		web := sourcetest.NewWeb(t, o.pkg, cases)
		o.pace = c.Pace()
		o.does(t, "rpc", "cnt", "next")
		if status, said := o.does(t, "upgrade", web.Package(i)+"#sha256="+o.digest); status != exitDone || !strings.Contains(said, "retried") {
			t.Errorf("status %d: %s", status, said)
		}
		if _, said := o.does(t, "rpc", "cnt", "next"); !strings.Contains(said, `{"1.1.0",2}`) {
			t.Errorf("the node says %s", said)
		}
	}
}

// operator is somebody who has commands done by an agent and a node that run.
type operator struct {
	*verifier
	env    []string
	pkg    []byte // 1.1.0
	digest string
	pace   source.Pace
}

func newOperator(t *testing.T, more ...string) *operator {
	t.Helper()
	packages := makePackages(t)
	o := &operator{verifier: newVerifier(t), pace: sourcetest.Unhurried}
	o.env = append(append(os.Environ(), "AGENT_VOLUME="+filepath.Join(o.dir, "volume"), "AGENT_SEED="+filepath.Join(packages, "cnt-1.0.0.tar.gz"),
		"AGENT_RUN_DIR="+filepath.Join(o.dir, "run"), "HOME="+o.dir, "AGENT_SETTLE=100ms", "AGENT_PACKAGE_LIMITS=package=16M"), more...)
	var err error
	if o.pkg, err = os.ReadFile(filepath.Join(packages, "cnt-1.1.0.tar.gz")); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(o.pkg)
	o.digest = hex.EncodeToString(sum[:])
	o.start(t, o.env)
	return o
}

// does a command in this process, at its pace.
func (o *operator) does(t *testing.T, args ...string) (status int, said string) {
	t.Helper()
	var out bytes.Buffer
	c := &cli{env: o.env, stdin: strings.NewReader(""), stdout: &out, stderr: &out, pace: o.pace}
	return c.run(t.Context(), args), out.String()
}

// TestNothingLeadsOutOfHTTPS: a server with a certificate that is trusted leads to one without.
func TestNothingLeadsOutOfHTTPS(t *testing.T) {
	content := []byte("no package")
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	defer plain.Close()
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/out" {
			http.Redirect(w, r, plain.URL, http.StatusFound)
			return
		}
		_, _ = w.Write(content)
	}))
	defer web.Close()
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of who does not trust it
	authorities := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(authorities, registry.PEM(web.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t)
	trusting := append(os.Environ(), "SSL_CERT_FILE="+authorities)
	for _, c := range []struct {
		path, says string
		env        []string
	}{
		{"/in", "not a tarball", trusting},
		{"/out", "it leads out of https, to http://127.0.0.1", trusting},
		{"/in", "hint: SSL_CERT_FILE names a file with the authorities to trust", append(os.Environ(), "SSL_CERT_FILE=/dev/null")},
	} {
		if status, said := v.run(t, c.env, "verify", web.URL+c.path); status == exitDone || !strings.Contains(said, c.says) {
			t.Errorf("%s: status %d: %s", c.path, status, said)
		}
	}
}

// TestAPackageThatIsNoFileIsVerifiedInTMPDIR, and is gone afterwards.
func TestAPackageThatIsNoFileIsVerifiedInTMPDIR(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(makePackages(t), "cnt-1.1.0.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	defer web.Close()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for ref, stdin := range map[string]io.Reader{web.URL + "/cnt.tar.gz": nil, "-": bytes.NewReader(content)} {
		var out bytes.Buffer
		c := &cli{env: os.Environ(), stdin: stdin, stdout: &out, stderr: &out, pace: sourcetest.Unhurried}
		if status := c.run(t.Context(), []string{"verify", ref}); status != exitDone || !strings.Contains(out.String(), "cnt 1.1.0") {
			t.Errorf("%s: status %d: %s", ref, status, out.String())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v are left: %v", left, err)
	}
}

// TestAPluginFetchesWhatIsInstalled: a plugin that fails leaves nothing on the volume and says so, a good one serves each verb, and
// neither what it is configured with nor the query of a reference is told to anybody.
func TestAPluginFetchesWhatIsInstalled(t *testing.T) {
	o := newOperator(t)
	store := filepath.Join(o.dir, "store")
	mkdir(t, store)
	actor := filepath.Join(o.dir, "actor")
	for path, pkg := range map[string]string{filepath.Join(filepath.Dir(o.agent), host.Name): "theseus/cmd/agent-plugin", actor: "theseus/agent/plugin/testdata/actor"} {
		program.Build(t, path, pkg)
	}
	sum, err := digest(actor)
	if err == nil {
		err = os.WriteFile(filepath.Join(store, "cnt-1.1.0.tar.gz"), o.pkg, 0o644)
	}
	sources := filepath.Join(o.dir, "sources.toml")
	if err == nil {
		err = os.WriteFile(sources, fmt.Appendf(nil, "[sources.store]\nplugin = {path = %q, sha256 = %q, config = {dir = %q, token = \"TheSecret\"}}\n", actor, sum, store), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ref, env := "store://cnt-1.1.0.tar.gz?token=TheSecret#sha256="+o.digest, append(o.env, "AGENT_SOURCES="+sources)
	before, said := o.volumeTree(t), ""
	does := func(act, verb string, want int, words ...string) {
		t.Helper()
		status, all := o.run(t, append(env, "ACT="+act), verb, ref)
		for _, word := range words {
			if !strings.Contains(all, word) {
				t.Errorf("%s of what %s lacks %q: %s", verb, act, word, all)
			}
		}
		if status != want {
			t.Errorf("%s of what %s: status %d: %s", verb, act, status, all)
		}
		said += all
	}
	for act, words := range map[string]string{
		"breaks off": "cannot read store://cnt-1.1.0.tar.gz: the store is gone", "crashes at start": "cannot start the plugin", "refuses": "there is no",
		"floods": "the package is larger than", "announces less": "than the 150000 bytes that it has announced",
	} {
		does(act, "upgrade", map[bool]int{true: exitRefused, false: exitError}[act == "floods"], words, "nothing was changed")
		if diff := cmp.Diff(before, o.volumeTree(t)); diff != "" {
			t.Fatalf("%s: files have changed:\n%s", act, diff)
		}
	}
	o.ends(t, os.Interrupt, env, ref, actor)
	o.ends(t, os.Kill, env, ref, actor)
	does("ok", "verify", exitDone, "cnt 1.1.0")
	does("ok", "plan", exitDone, "in service")
	does("ok", "upgrade", exitDone, "cnt 1.1.0 runs and is permanent")
	_, history := o.run(t, env, "history", "show", "--json")
	if said += history; !strings.Contains(history, "store://cnt-1.1.0.tar.gz") || strings.Contains(strings.ReplaceAll(said, "there is no cnt-1.1.0.tar.gz?token=TheSecret", ""), "TheSecret") {
		t.Errorf("it tells\n%s", said)
	}
}

// ends is an upgrade that a signal ends while its plugin makes it wait: neither the command nor the plugin is left.
func (o *operator) ends(t *testing.T, by os.Signal, env []string, ref, actor string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), o.agent, "upgrade", ref)
	cmd.Env = append(env, "ACT=waits")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	until := func(n int) {
		for deadline := time.Now().Add(patience); runs(actor) != n && time.Now().Before(deadline); {
			<-again.C
		}
	}
	until(1)
	if err := cmd.Process.Signal(by); err != nil {
		t.Error(err)
	}
	err := cmd.Wait()
	if by == os.Kill { // its plugin has to notice that
		until(0)
	}
	if by != os.Kill && status(err) != exitError || runs(actor) != 0 {
		t.Errorf("after %s it ends with %v, and %d plugins are left", by, err, runs(actor))
	}
}

// runs counts the processes of a program.
func runs(program string) (n int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, _ := os.Readlink(link); exe == program {
			n++
		}
	}
	return n
}
