package etc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// lay puts a file where only its owner writes.
func lay(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// refused compares an error with what it must say.
func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, want := range words {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", what, err, want)
		}
	}
}

func TestAFileOfTheImageIsReadWhole(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("x", maxFile)
	path := lay(t, filepath.Join(dir, "gates.toml"), text)
	// A ConfigMap is mounted so.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o440, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, volume := range []string{"", t.TempDir(), filepath.Join(dir, "no-volume-yet")} {
			if got, err := Text(link, volume); err != nil || string(got) != text {
				t.Errorf("mode %v, volume %q: %d bytes, %v", mode, volume, len(got), err)
			}
		}
	}
}

// TestWhatIsNoSmallFileIsRefused, and nobody waits for it.
func TestWhatIsNoSmallFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		lay(t, filepath.Join(dir, "large"), strings.Repeat("x", maxFile+1)): "has more than 1048576 bytes",
		fifo:                           "is no regular file",
		dir:                            "is no regular file",
		"/dev/zero":                    "is no regular file",
		filepath.Join(dir, "nothing"):  "no such file",
		filepath.Join(fifo, "nothing"): "not a directory",
	} {
		_, err := Text(path, t.TempDir())
		refused(t, path, err, path, want)
	}
}

func TestNothingOnTheVolumeIsTrusted(t *testing.T) {
	volume, image := t.TempDir(), t.TempDir()
	inside := lay(t, filepath.Join(volume, "inside"), "")
	link, alias := filepath.Join(image, "link"), filepath.Join(image, "volume")
	for at, to := range map[string]string{link: inside, alias: volume} {
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{inside, link, filepath.Join(alias, "inside")} {
		for _, volume := range []string{volume, alias} {
			_, err := Text(path, volume)
			refused(t, path, err, path+" is on the volume, which the node can write")
			_, err = plugin(path).Order(volume)
			refused(t, "the plugin "+path, err, path+" is on the volume, which the node can write")
		}
	}
	beside := lay(t, volume+"-not", "x")
	if text, err := Text(beside, volume); err != nil || string(text) != "x" {
		t.Errorf("what only begins as the volume does: %q, %v", text, err)
	}
}

func TestWhatAFileHasWrongIsNamedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"path = \"/p\"\npaht = \"/p\"":            "line 2: there is no key paht",
		"[config]\na = \"b\"\n[confg]\na = \"b\"": "line 3: there is no key confg",
		"\npath = 3":                                "line 2: ",
		"path = \"/p\"\nmtls = \"no\"":              "line 2: ",
		"path = \"/p\"\n\n[config]\nlimit = 100":    "line 4: ",
		"path = \"/p\"\npath = \"/q\"":              "line 2: ",
		"path = \"/p\"\nsha256":                     "line 2: ",
		"paht = \"/p\"\nmtls = true\nsha265 = \"\"": "line 3: there is no key sha265",
	} {
		var p Plugin
		refused(t, text, Decode([]byte(text), &p), want)
	}
}

// plugin is one with a digest that has its form.
func plugin(path string) Plugin { return Plugin{Path: path, SHA256: strings.Repeat("0", 64)} }

func TestAPluginIsAFileOfTheImageAndHasADigest(t *testing.T) {
	path := lay(t, filepath.Join(t.TempDir(), "plugin"), "")
	no := false
	good := Plugin{Path: path, SHA256: strings.Repeat("0a", 32), MTLS: &no, Config: map[string]string{"a": "b"}}
	if order, err := good.Order(t.TempDir()); err != nil || order.Program.Path != path || order.Program.SHA256 != good.SHA256 || !order.Program.Plain || order.Config["a"] != "b" {
		t.Errorf("%+v, %v", order, err)
	}
	for want, p := range map[string]Plugin{
		`path="plugin": it is no absolute path`:     plugin("plugin"),
		`path="": it is no absolute path`:           {},
		"agent plugin check " + path + " prints it": {Path: path},
		`sha256="0A`: {Path: path, SHA256: strings.Repeat("0A", 32)},
		`sha256="` + strings.Repeat("0", 63) + `": it is no`: {Path: path, SHA256: strings.Repeat("0", 63)},
		"no such file":       plugin(path + ".not"),
		"is no regular file": plugin(filepath.Dir(path)),
	} {
		_, err := p.Order(t.TempDir())
		refused(t, want, err, want)
	}
}
