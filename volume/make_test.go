package volume

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// member is one entry of a package that a test makes.
type member struct {
	tar.Header
	content string
}

func file(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, content}
}

func link(name, target string) member {
	return member{tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, ""}
}

// thin is what rebar3 makes of a small release without OTP: demo of this version, and greet 1.0.0.
func thin(version string) []member {
	rel := fmt.Sprintf("{release,{\"demo\",%q},{erts,\"13.1.5\"},[{kernel,\"8.5.3\"},{stdlib,\"4.2\"},{greet,\"1.0.0\",load},{demo,%q}]}.\n", version, version)
	dir := "releases/" + version + "/"
	return []member{
		file("lib/greet-1.0.0/ebin/greet.app", "{application,greet,[]}.\n"),
		file("lib/greet-1.0.0/ebin/greet.beam", strings.Repeat("greet", 1000)),
		file("lib/demo-"+version+"/ebin/demo.app", "{application,demo,[]}.\n"),
		file("lib/demo-"+version+"/ebin/demo.beam", "code of "+version),
		file("releases/demo.rel", rel),
		file(dir+"demo.rel", rel),
		file(dir+"start.boot", "boot "+version),
		file(dir+"sys.config", "[{demo,[{version,\""+version+"\"}]}].\n"),
		file(dir+"vm.args", "-name demo@127.0.0.1\n"),
		file("releases/start_erl.data", "13.1.5 "+version),
		file("releases/RELEASES", "[]."),
		file("bin/demo", "#!/bin/sh\n"),
	}
}

// without leaves out every member whose name contains a part.
func without(part string, members []member) []member {
	var kept []member
	for _, m := range members {
		if !strings.Contains(m.Name, part) {
			kept = append(kept, m)
		}
	}
	return kept
}

func pack(t testing.TB, members []member) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for _, m := range members {
		err := archive.WriteHeader(&m.Header)
		if err == nil && m.content != "" {
			_, err = archive.Write([]byte(m.content))
		}
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, root string) *Volume {
	t.Helper()
	v, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// crash ends an agent without any farewell: the kernel gives the lock back, nothing else is tidied.
func crash(t testing.TB, v *Volume) *Volume {
	t.Helper()
	v.lock.(osLock).File.Close()
	return open(t, v.root)
}

func receive(t testing.TB, v *Volume, content []byte) Package {
	t.Helper()
	pkg, err := v.Receive(context.Background(), bytes.NewReader(content), nil)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func stage(t testing.TB, v *Volume, members []member) *Staged {
	t.Helper()
	s, err := v.Stage(context.Background(), receive(t, v, pack(t, members)), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t testing.TB, v *Volume, members []member) Release {
	t.Helper()
	r, err := stage(t, v, members).Publish(image(t))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seeded is a volume with demo 1.0.0 on it.
func seeded(t testing.TB) *Volume {
	t.Helper()
	v := open(t, filepath.Join(t.TempDir(), "release"))
	r := publish(t, v, thin("1.0.0"))
	if err := errors.Join(v.Link(image(t), r.Version), v.Seed(r.Version, r.Package)); err != nil {
		t.Fatal(err)
	}
	return v
}

// image is a directory that looks like an OTP with kernel and stdlib.
func image(t testing.TB) Image {
	t.Helper()
	root := filepath.Join(t.TempDir(), "erlang")
	for _, dir := range []string{"bin", "erts-13.1.5/bin", "lib/kernel-8.5.3/ebin", "lib/stdlib-4.2/ebin", "releases"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "bin/erl"), "#!/bin/sh\n")
	return Image{OTPRoot: root, ERTS: "13.1.5"}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// list names everything below a directory, with the targets of links.
func list(t testing.TB, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if d.Type()&fs.ModeSymlink != 0 {
			name += " ->"
		}
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// refusedWith checks the code of a refusal.
func refusedWith(t testing.TB, err error, want Code) *PackageError {
	t.Helper()
	var refusal *PackageError
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal with the code %s", err, want)
	}
	if refusal.Code != want {
		t.Errorf("refused with the code %s, want %s: %v", refusal.Code, want, err)
	}
	return refusal
}
