package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

func TestPaddedPackageHoldsAllMembersAndTheLargeFile(t *testing.T) {
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small.tar.gz"), filepath.Join(dir, "large", "large.tar.gz")
	writePackage(t, small, map[string]string{"releases/1.1.0/demo.rel": "{release, …}."})
	if err := padPackage(small, large); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"releases/1.1.0/demo.rel": 15, "lib/demo-1.1.0/priv/model.bin": padding}
	if diff := cmp.Diff(want, members(t, large)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(large); err != nil || info.Size() < padding {
		t.Errorf("the large package shrank: %v, %v", info.Size(), err)
	}
}

func writePackage(t *testing.T, path string, files map[string]string) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	for name, text := range files {
		err = errors.Join(err, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
		_, writeErr := io.WriteString(archive, text)
		err = errors.Join(err, writeErr)
	}
	if err := errors.Join(err, archive.Close(), packed.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func members(t *testing.T, path string) map[string]int64 {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[string]int64{}
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes[header.Name] = header.Size
	}
}
