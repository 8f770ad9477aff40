package main

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
)

const padding = 40 << 20

// padPackage copies a package and adds a file that does not compress to the priv directory of its
// application, as a service ships its assets or models.
func padPackage(small, large string) error {
	if err := os.MkdirAll(filepath.Dir(large), 0o755); err != nil {
		return err
	}
	in, err := os.Open(small)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(large)
	if err != nil {
		return err
	}
	if err := errors.Join(pad(in, out), out.Close()); err != nil {
		return fmt.Errorf("cannot make %s: %w", large, err)
	}
	return nil
}

func pad(in io.Reader, out io.Writer) error {
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(out)
	archive := tar.NewWriter(packed)
	if err := copyMembers(archive, tar.NewReader(unpacked)); err != nil {
		return err
	}
	file := &tar.Header{Name: "lib/demo-" + to + "/priv/model.bin", Mode: 0o644, Size: padding}
	if err := archive.WriteHeader(file); err != nil {
		return err
	}
	if _, err := io.CopyN(archive, rand.Reader, padding); err != nil {
		return err
	}
	return errors.Join(archive.Close(), packed.Close())
}

func copyMembers(to *tar.Writer, from *tar.Reader) error {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := to.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
}
