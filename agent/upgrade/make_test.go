package upgrade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"theseus/volume"
)

// files is a package by the names of its members.
type files map[string]string

// demo is what rebar3 makes of a small release without OTP. Its relup leads from and to the version before.
func demo(version, before string) files {
	lib, release := "lib/demo-"+version+"/ebin/", "releases/"+version+"/"
	f := files{
		lib + "demo.app":        "{application,demo,[]}.\n",
		lib + "demo.beam":       "code of " + version,
		release + "demo.rel":    fmt.Sprintf("{release,{\"demo\",%q},{erts,\"13.1.5\"},[{kernel,\"8.5.3\"},{sasl,\"4.2\",load},{demo,%q}]}.\n", version, version),
		release + "start.boot":  "boot " + version,
		release + "sys.config":  "[].\n",
		"releases/RELEASES":     "[].",
		"bin/demo":              "#!/bin/sh\n",
		"lib/greet-1/greet.txt": "hello",
	}
	if before != "" {
		f[release+"relup"] = makeRelup(version, before)
	}
	return f
}

func makeRelup(version, before string) string {
	change := "[{suspend,[demo,{demo_conn,5000}]},point_of_no_return,{code_change,up,[{demo,[]}]},{resume,[demo,demo_conn]}]"
	return fmt.Sprintf("{%q,[{%q,[],%s}],[{%q,[],%s}]}.\n", version, before, change, before, change)
}

func (f files) with(name, content string) files {
	f = maps.Clone(f)
	f[name] = content
	return f
}

func (f files) without(name string) files {
	f = maps.Clone(f)
	delete(f, name)
	return f
}

// pack makes the tarball.
func (f files) pack(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(f[name]))})
		if err == nil {
			_, err = archive.Write([]byte(f[name]))
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

// makeImage is a directory that looks like an OTP.
func makeImage(t testing.TB) volume.Image {
	t.Helper()
	root := filepath.Join(t.TempDir(), "erlang")
	for _, dir := range []string{"erts-13.1.5/bin", "lib/kernel-8.5.3/ebin", "lib/sasl-4.2/ebin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return volume.Image{OTPRoot: root, ERTS: "13.1.5"}
}

// makeVolume is one on which each of the packages was permanent, the last one still is.
func makeVolume(t testing.TB, image volume.Image, packages ...files) *volume.Volume {
	t.Helper()
	v, err := volume.Open(filepath.Join(t.TempDir(), "release"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	for _, f := range packages {
		pkg, err := v.Receive(t.Context(), bytes.NewReader(f.pack(t)), nil)
		if err != nil {
			t.Fatal(err)
		}
		staged, err := v.Stage(t.Context(), pkg, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r, err := staged.Publish(image)
		if err == nil {
			err = errors.Join(v.Link(image, r.Version), v.Seed(r.Version, r.Package))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return v
}
