package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/agent/plugin/host"
	"theseus/integration/program"
	"theseus/signals"
)

const (
	brief    = 2 * time.Second // the timeout of a try that ends with it
	patience = time.Minute     // that of all others: what a slow machine needs
)

// timeout is that of a gate of which this is said.
func timeout(want string) time.Duration {
	if strings.Contains(want, "within "+brief.String()) {
		return brief
	}
	return patience
}

// rig is a real init, and real programs.
type rig struct {
	Source
	actor, digest string
}

// programs are built once.
func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	for name, pkg := range map[string]string{host.Name: "theseus/cmd/agent-plugin", "actor": "theseus/agent/plugin/testdata/actor"} {
		program.Build(t, filepath.Join(dir, name), pkg)
	}
	init, err := signals.New(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); _ = init.Run(life) }()
	t.Cleanup(func() { end(); <-over })
	scratch := t.TempDir()
	r := &rig{actor: filepath.Join(dir, "actor")}
	r.Source = Source{
		File: filepath.Join(dir, "gates.toml"), Volume: t.TempDir(),
		Host: host.Host{Path: filepath.Join(dir, host.Name), Init: init, Env: os.Environ(), Scratch: scratch},
	}
	text, err := os.ReadFile(r.actor)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	r.digest = hex.EncodeToString(sum[:])
	return r
}

// read takes what would stand in the file.
func (r *rig) read(t *testing.T, text string) (Set, error) {
	t.Helper()
	if err := os.WriteFile(r.File, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return r.Read()
}

// asks reads one gate and asks it once.
func (r *rig) asks(t *testing.T, timeout time.Duration, kind string, node Node) (took time.Duration, err error) {
	t.Helper()
	set, err := r.read(t, fmt.Sprintf("[gates.it]\ntimeout = %q\nretries = 0\n%s\n", timeout, kind))
	if err != nil {
		t.Fatal(err)
	}
	about := Subject{Node: func(context.Context) (Node, error) { return node, nil }, From: "1.0.0", To: "1.1.0"}
	results := set.Ask(t.Context(), After, about)
	return results[0].Took, results[0].Err
}

// left is what a gate may have left: children, open files, files in the scratch directory.
func (r *rig) left() string {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	children := 0
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		children += len(strings.Fields(string(text)))
	}
	files := 0
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && !strings.HasPrefix(name, "/proc/") { // those a reaper reads at any moment
			files++
		}
	}
	scratch, _ := os.ReadDir(r.Scratch)
	return fmt.Sprintf("%d children, %d files, %d in the scratch directory", children, files, len(scratch))
}

// leavesNothing waits for the reaper, and for connections that are being closed.
func (r *rig) leavesNothing(t *testing.T, before string) {
	t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for r.left() != before {
		select {
		case <-poll.C:
		case <-deadline:
			t.Errorf("left: %s; before: %s", r.left(), before)
			return
		}
	}
}

// cell is a gate that behaves in a way, and what is said of it: nothing at all if it passes.
type cell struct{ kind, act, gate, want string }

func pluginCells(r *rig) (cells []cell) {
	for act, want := range map[string]string{
		"ok": "", "slow": "", "chats": "", "leaves": "",
		"refuses":          "the queue is long",
		"hangs":            "no answer within 2s",
		"stops":            "no answer within 2s",
		"hangs at start":   "no answer within 2s",
		"floods at start":  "cannot start the plugin",
		"speaks at start":  "cannot start the plugin: Unrecognized remote plugin message: hello",
		"crashes at start": "cannot start the plugin",
		"crashes":          "(Unavailable)",
		"lies":             "it has an objection and no reason",
		"floods":           "(ResourceExhausted)",
		"another version":  "cannot start the plugin: incompatible API version with plugin. Plugin version: 2, Client versions: [1]",
		"another protocol": "cannot start the plugin: incompatible core API version with plugin. Plugin version: 2, Core version: 1",
		"only a source":    "the plugin is no gate",
	} {
		cells = append(cells, cell{"plugin", act, fmt.Sprintf("plugin = {path = %q, sha256 = %q}", r.actor, r.digest), want})
	}
	return append(cells,
		cell{"plugin", "wrong checksum", fmt.Sprintf("plugin = {path = %q, sha256 = %q}", r.actor, strings.Repeat("0", 64)), "its file has another sha256"},
		cell{"plugin", "no TLS", fmt.Sprintf("plugin = {path = %q, sha256 = %q, mtls = false}", r.actor, r.digest), "it speaks no TLS, and listens at 127.0.0.1:1"},
	)
}

func execCells() (cells []cell) {
	for act, c := range map[string][2]string{
		"ok":                    {"exit 0", ""},
		"refuses":               {"echo the queue; echo is long >&2; exit 3", "exit status 3: the queue is long"},
		"slow":                  {"sleep 0.3", ""},
		"hangs":                 {"sleep 1000", "no answer within 2s"},
		"hangs with others":     {"setsid sleep 1000 & sleep 1000", "no answer within 2s"},
		"leaves":                {"setsid sleep 1000 & exit 0", ""},
		"crashes at start":      {"kill -SEGV $$", "killed by SIGSEGV"},
		"crashes in the middle": {"echo so far; kill -9 $$", "killed by SIGKILL: so far"},
		"floods":                {"yes", "it prints more than 65536 bytes"},
	} {
		cells = append(cells, cell{"exec", act, fmt.Sprintf("exec = {command = [\"/bin/sh\", \"-c\", %q]}", c[0]), c[1]})
	}
	return cells
}

// page answers as its path says.
func page(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/refuses":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "/slow":
		<-time.After(300 * time.Millisecond)
	case "/hangs":
		<-r.Context().Done()
	case "/crashes":
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "so far")
	case "/redirects":
		http.Redirect(w, r, "/ok", http.StatusFound)
	case "/floods":
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("flood ", 10_000)); err != nil {
				return
			}
		}
	}
	fmt.Fprint(w, "all is well")
}

func httpCells(address, closed string) (cells []cell) {
	for act, want := range map[string]string{
		"ok": "", "slow": "",
		"refuses":   "it answers with 503",
		"redirects": "it answers with 302",
		"hangs":     "no answer within 2s",
		"crashes":   "unexpected EOF",
		"floods":    `its answer does not match "well": flood flood`,
	} {
		cells = append(cells, cell{"http", act, fmt.Sprintf("http = {url = \"http://%s/%s\", body = \"well\"}", address, act), want})
	}
	return append(cells,
		cell{"http", "is not there", fmt.Sprintf("http = {url = \"http://%s/\"}", closed), "connection refused"},
		cell{"http", "another status", fmt.Sprintf("http = {url = \"http://%s/ok\", status = 204}", address), "it answers with 200"},
		cell{"tcp", "ok", fmt.Sprintf("tcp = {address = %q}", address), ""},
		cell{"tcp", "refuses", fmt.Sprintf("tcp = {address = %q}", closed), "connection refused"},
	)
}

// TestEachGateIsRightAndInTime: whatever it does, it is a gate that passes or fails, and nothing is left of it.
func TestEachGateIsRightAndInTime(t *testing.T) {
	r := newRig(t)
	server := httptest.NewServer(http.HandlerFunc(page))
	defer server.Close()
	const closed = "127.0.0.1:1" // of those that the kernel gives to nobody
	cells := append(pluginCells(r), execCells()...)
	cells = append(cells, httpCells(server.Listener.Addr().String(), closed)...)
	env := r.Env
	for _, c := range cells {
		t.Run(c.kind+"/"+c.act, func(t *testing.T) {
			r.Env = append(env[:len(env):len(env)], "ACT="+c.act)
			before := r.left()
			took, err := r.asks(t, timeout(c.want), c.gate, nil)
			server.CloseClientConnections()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("it says %.300v, not %q", err, c.want)
			}
			if err != nil && (len(err.Error()) > 400+len(c.gate) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("it says %d bytes: %.500s", len(err.Error()), err)
			}
			if took > patience {
				t.Errorf("took %s", took)
			}
			r.leavesNothing(t, before)
		})
	}
}
