package gate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"theseus/agent/etc"
)

// parsed is what a file says to a source that asks nobody.
func parsed(t *testing.T, text string) (Set, error) {
	t.Helper()
	s := Source{File: filepath.Join(t.TempDir(), "gates.toml"), Volume: t.TempDir()}
	if err := os.WriteFile(s.File, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return s.Read()
}

func TestAFileSaysWhatIsAskedAndWhen(t *testing.T) {
	set, err := parsed(t, `
settle = "5m"
[gates.ready]
http = {url = "http://127.0.0.1:8080/ready", status = 200, body = "ok"}
[gates.accepts]
tcp = {address = "127.0.0.1:7000"}
when = ["before", "after"]
retries = 0
interval = "1s"
timeout = "500ms"
[gates.memory]
memory = {most = "20%"}
`)
	if err != nil {
		t.Fatal(err)
	}
	if set.Settle != 5*time.Minute || len(set.Gates) != 3 || !set.Counts() {
		t.Errorf("%+v", set)
	}
	accepts, memory := set.Gates[0], set.Gates[1]
	if accepts.Name != "accepts" || accepts.Kind != "tcp" || accepts.Retries != 0 || accepts.Interval != time.Second || accepts.Timeout != 500*time.Millisecond {
		t.Errorf("%+v", accepts)
	}
	if memory.Retries != defaultRetries || !slices.Equal(memory.When, []When{After, Settle}) {
		t.Errorf("%+v", memory)
	}
}

func TestWhatAFileHasWrongIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"settel = \"5m\"": "line 1: there is no key settel",
		"\n[gates.it]\nhttp = {url = \"http://a/\"}\nretry = 3": "line 4: there is no key gates.it.retry",
		"[gates.it]\nhttp = {uri = \"http://a/\"}":              "line 2: there is no key gates.it.uri",
		"[gates.it]\ntimeout = \"soon\"":                        "line 2:",
		"[gates.it]\ninterval = \"0s\"":                         "line 2:",
		"[gates.it]\nwhen = 3":                                  "line 2:",
		"[gates":                                                "line 1:",
		"[gates.it]":                                            `gate "it": it must have exactly one of`,
		"[gates.it]\nhttp = {url = \"http://a/\"}\ntcp = {address = \"a:1\"}": "it has 2",
		"[gates.it]\nhttp = {url = \"a\"}":                                    `http: cannot use url="a"`,
		"[gates.it]\nhttp = {url = \"http://a/\", body = \"(\"}":              `cannot use body="("`,
		"[gates.it]\ntcp = {address = \"a\"}":                                 "it is no host and port",
		"[gates.it]\nexec = {command = [\"true\"]}":                           "it does not begin with the absolute path",
		"[gates.it]\nexec = {command = [\"/no/such\"]}":                       "there is no such program",
		"[gates.it]\nrpc = {call = \"demo\"}":                                 "it is no module and function",
		"[gates.it]\nrpc = {call = \"a:b\", args = \"{\"}":                    `cannot use args="{"`,
		"[gates.it]\nmemory = {most = \"much\"}":                              `cannot use most="much"`,
		"[gates.it]\ncrashes = {most = -1}":                                   "it is below 0",
		"[gates.it]\nlogs = {level = \"loud\"}":                               "it is none of emergency, alert, critical, error, warning",
		"[gates.it]\nmemory = {most = \"1M\"}\nwhen = [\"before\"]":           "memory counts from the installation, and cannot be asked before it",
		"[gates.it]\ntcp = {address = \"a:1\"}\nwhen = [\"now\"]":             "it is none of before, after, settle",
		"[gates.it]\ntcp = {address = \"a:1\"}\nretries = -1":                 "it is no number from 0 to 100",
		"[gates.it]\nplugin = {path = \"p\", sha256 = \"\"}":                  "it is no absolute path",
		"[gates.it]\nplugin = {path = \"/p\", sha256 = \"abc\"}":              "agent plugin check /p prints it",
	} {
		if _, err := parsed(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nis %v, not %q", text, err, want)
		}
	}
}

func TestNothingOnTheVolumeIsAsked(t *testing.T) {
	volume := t.TempDir()
	inside := filepath.Join(volume, "lib", "x")
	link := filepath.Join(t.TempDir(), "link")
	err := os.Mkdir(filepath.Dir(inside), 0o755)
	if err == nil {
		err = os.WriteFile(inside, nil, 0o755)
	}
	if err == nil {
		err = os.Symlink(inside, link)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{inside, link} {
		s := Source{File: path, Volume: volume}
		if _, err := s.Read(); err == nil || !strings.Contains(err.Error(), "is on the volume, which the node can write") {
			t.Errorf("the file %s: %v", path, err)
		}
		k := pluginKind{etc.Plugin{Path: path, SHA256: strings.Repeat("0", 64)}}
		if _, err := k.gate(s); err == nil || !strings.Contains(err.Error(), "is on the volume, which the node can write") {
			t.Errorf("the plugin %s: %v", path, err)
		}
	}
}

func TestOnlyTheDefaultFileMayBeMissing(t *testing.T) {
	if set, err := (Source{File: etc.Gates, Volume: t.TempDir()}).Read(); err != nil || len(set.Gates) != 0 {
		t.Errorf("%+v, %v", set, err)
	}
	if _, err := (Source{File: "/no/such.toml", Volume: t.TempDir()}).Read(); err == nil {
		t.Error("a file that was named and is missing is none")
	}
}
