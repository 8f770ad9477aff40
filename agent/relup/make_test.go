package relup

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/need"
	"theseus/volume"
)

// modules are the texts of an application's modules by their names, and maybe an appup.
type modules map[string]string

func (m modules) with(name, text string) modules {
	m = maps.Clone(m)
	m[name] = text
	return m
}

func (m modules) without(name string) modules {
	m = maps.Clone(m)
	delete(m, name)
	return m
}

// image is the OTP of this machine.
func image(t *testing.T) volume.Image {
	t.Helper()
	found, err := volume.DetectImage(need.Tool(t, "erl"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// pack compiles the application in a version, and makes the package of a release with nothing else than OTP.
func pack(t *testing.T, otp volume.Image, version string, m modules) string {
	t.Helper()
	ebin := t.TempDir()
	files := map[string]string{}
	var names []string
	lib := "lib/app-" + version + "/ebin/"
	for name, text := range m {
		if strings.HasSuffix(name, ".appup") {
			files[lib+name] = text
			continue
		}
		names = append(names, name)
		compile(t, ebin, name, text)
		files[lib+name+".beam"] = read(t, filepath.Join(ebin, name+".beam"))
	}
	start := ""
	if m["starter"] != "" {
		start = ",{mod,{starter,[]}}"
	}
	files[lib+"app.app"] = fmt.Sprintf(`{application,app,[{description,"it"},{vsn,%q},{modules,[%s]},{registered,[]},{applications,[kernel,stdlib]}%s]}.`, version, strings.Join(names, ","), start)
	release := "releases/" + version + ".0.0/"
	files[release+"app.rel"] = fmt.Sprintf(`{release,{"app",%q},{erts,%q},[{kernel,%q},{stdlib,%q},{sasl,%q},{app,%q}]}.`,
		version+".0.0", otp.ERTS, versionOf(t, otp, "kernel"), versionOf(t, otp, "stdlib"), versionOf(t, otp, "sasl"), version)
	files[release+"start.boot"], files[release+"sys.config"] = "", "[]."
	return archive(t, files)
}

// compile is with debug_info, as rebar3 does.
func compile(t *testing.T, ebin, name, text string) {
	t.Helper()
	source := filepath.Join(ebin, name+".erl")
	if err := os.WriteFile(source, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("erlc", "+debug_info", "-o", ebin, source).CombinedOutput(); err != nil {
		t.Fatalf("%s does not compile: %v\n%s", name, err, said)
	}
}

func versionOf(t *testing.T, otp volume.Image, app string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(otp.OTPRoot, "lib", app+"-*"))
	if err != nil || len(found) == 0 {
		t.Fatalf("the OTP has no %s: %v", app, err)
	}
	return strings.TrimPrefix(filepath.Base(found[0]), app+"-")
}

func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "package.tar.gz")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(out)
	w := tar.NewWriter(zipped)
	for name, content := range files {
		err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
