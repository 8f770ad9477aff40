package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/agent/etc"
	"theseus/agent/plugin/host"
	"theseus/integration/program"
)

// plugins is an image with one plugin, the actor, that is the source store.
func plugins(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	actor := filepath.Join(dir, "actor")
	for path, pkg := range map[string]string{host.Beside(): "theseus/cmd/agent-plugin", actor: "theseus/agent/plugin/testdata/actor"} {
		program.Build(t, path, pkg)
	}
	t.Cleanup(func() { os.Remove(host.Beside()) })
	text, err := os.ReadFile(actor)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	return Options{
		Pace: unhurried, SHA256: strings.Repeat("0", 64), Stdin: strings.NewReader(""),
		Plugins: Plugins{
			Volume: t.TempDir(), Env: os.Environ(),
			File: written(t, fmt.Sprintf("[sources.store]\nplugin = {path = %q, sha256 = \"%x\"}\n", actor, sha256.Sum256(text))),
		},
	}
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sources.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// unhurried leaves a plugin as much time as a slow machine needs.
var unhurried = Pace{Stall: time.Second, Patience: 3 * time.Minute, Pause: 10 * time.Millisecond, Longest: 100 * time.Millisecond}

// TestAPluginFetchesAWholePackageOrSaysInALineWhyNot, and leaves neither a process nor a file.
func TestAPluginFetchesAWholePackageOrSaysInALineWhyNot(t *testing.T) {
	o := plugins(t)
	env := o.Plugins.Env
	for act, want := range map[string]string{
		"ok":               "",
		"chats":            "",
		"refuses":          "cannot read store://a/b: there is no a/b?c=secret",
		"speaks in lines":  `cannot read store://a/b: one two\x1b[31m more more`,
		"empty":            "it has sent 0 bytes of 0",
		"waits":            "cannot read store://a/b: its plugin has sent nothing for 2s",
		"hangs":            "cannot read store://a/b: its plugin has sent nothing for 2s",
		"hangs at start":   "its plugin has sent nothing for 2s",
		"crashes at start": "cannot start the plugin",
		"crashes":          "(Unavailable)",
		"announces more":   "it has sent 1000000 bytes of 1099511627776",
		"announces less":   "it has sent more than the 150000 bytes that it has announced",
		"another version":  "incompatible API version",
		"another protocol": "cannot start the plugin",
		"floods at start":  "cannot start the plugin",
	} {
		t.Run(act, func(t *testing.T) {
			o := o
			if strings.HasSuffix(want, " for 2s") {
				o.Pace.Patience = 2 * time.Second
			}
			o.Plugins.Env = append(env[:len(env):len(env)], "ACT="+act)
			n, err := fetchAll(t, "store://a/b?c=secret", o)
			var told *api.Error
			switch {
			case want == "" && (err != nil || n != 6_400_000):
				t.Errorf("%d bytes, %v", n, err)
			case want == "":
			case !errors.As(err, &told) || told.Code != CodeLost || !strings.Contains(told.Message, want) || told.State != unchanged:
				t.Errorf("it says %v, not %q", err, want)
			case strings.ContainsAny(told.Message, "\n\x1b") || len(told.Message) > 500:
				t.Errorf("that is no line: %q", told.Message)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
			if left := running(t, "actor"); left != "" {
				t.Errorf("still there is %s", left)
			}
		})
	}
}

// fetchAll reads a package to its end.
func fetchAll(t *testing.T, ref string, o Options) (int64, error) {
	t.Helper()
	pkg, err := Open(t.Context(), ref, o)
	if err != nil {
		return 0, err
	}
	defer pkg.Close()
	return io.Copy(io.Discard, pkg)
}

// running is a process of this test's with the name.
func running(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("TMPDIR")
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		env, _ := os.ReadFile(file)
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		if strings.TrimSpace(string(comm)) == name && strings.Contains(string(env), dir) {
			return file
		}
	}
	return ""
}

// TestWhoStopsReadingEndsThePlugin, which would send without end.
func TestWhoStopsReadingEndsThePlugin(t *testing.T) {
	o := plugins(t)
	o.Plugins.Env = append(o.Plugins.Env, "ACT=floods")
	pkg, err := Open(t.Context(), "store://a", o)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, pkg, 50<<20); err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := pkg.Close(); err != nil {
		t.Error(err)
	}
	if left := running(t, "actor"); left != "" {
		t.Errorf("still there is %s", left)
	}
}

// TestWhatAPluginFetchesNeedsADigestOrASignature, as all that comes over a network does.
func TestWhatAPluginFetchesNeedsADigestOrASignature(t *testing.T) {
	o := plugins(t)
	o.SHA256 = ""
	for ref, code := range map[string]string{
		"store://a":           CodeUnprotected,
		"store://a#sha256=12": CodeNoPackage,
		"other://a":           CodeNoPackage,
		"file:///etc/passwd":  CodeNoPackage,
		"store://a#sha256=" + strings.Repeat("A", 64): "",
	} {
		_, err := fetchAll(t, ref, o)
		var told *api.Error
		if code == "" && err != nil || code != "" && (!errors.As(err, &told) || told.Code != code) {
			t.Errorf("%s: %v, not %s", ref, err, code)
		}
	}
	o.Signed = true
	pkg, err := Open(t.Context(), "store://a", o)
	if err != nil {
		t.Fatal(err)
	}
	defer pkg.Close()
	if !strings.HasPrefix(pkg.Signature, "xxx") || len(pkg.Signature) > 1<<20 {
		t.Errorf("the signature has %d bytes", len(pkg.Signature))
	}
}

func TestWhatTheFileOfSourcesHasWrongIsNamed(t *testing.T) {
	plugin := func(path string) string {
		return fmt.Sprintf("plugin = {path = %q, sha256 = %q}", path, strings.Repeat("0", 64))
	}
	volume := t.TempDir()
	inside := filepath.Join(volume, "plugin")
	if err := os.WriteFile(inside, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"[source.s3]":                                   "line 1: there is no key source",
		"[sources.s3]":                                  `source "s3": it has no plugin`,
		"[sources.s3]\nplugin = {paht = \"/a\"}":        "line 2: there is no key sources.s3.paht",
		"[sources.https]\n" + plugin("/bin/true"):       `source "https": that is the agent's own`,
		"[sources.S3]\n" + plugin("/bin/true"):          `source "S3": it is no scheme`,
		"[sources.s3]\n" + plugin("true"):               "it is no absolute path",
		"[sources.s3]\n" + plugin("/no/such"):           "no such file",
		"[sources.s3]\n" + plugin(inside):               "is on the volume, which the node can write",
		"[sources.s3]\nplugin = {path = \"/bin/true\"}": "agent plugin check /bin/true prints it",
	} {
		if _, err := (Plugins{File: written(t, text), Volume: volume}).read(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis %v, not %q", text, err, want)
		}
	}
	if _, err := (Plugins{File: inside, Volume: volume}).read(); err == nil || !strings.Contains(err.Error(), "is on the volume") {
		t.Errorf("a file on the volume: %v", err)
	}
	if _, err := (Plugins{File: "/no/such.toml"}).read(); err == nil {
		t.Error("a file that was named and is missing is none")
	}
	if orders, err := (Plugins{File: etc.Sources}).read(); err != nil || len(orders) > 0 {
		t.Errorf("%v, %v", orders, err)
	}
}
