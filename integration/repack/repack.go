// Package repack makes the packages that no build makes, broken, odd and large ones, from good ones.
package repack

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// Edit sees each file of a package and returns what is to be in its place; an empty name drops it.
type Edit func(name string, content []byte) (string, []byte)

// Keep is the Edit that changes nothing.
func Keep(name string, content []byte) (string, []byte) { return name, content }

// Member is a file that a package gets in addition.
type Member struct {
	Name    string
	Content []byte
}

// File writes an edited copy of the package at from, with more files at its end, to the path to.
func File(from, to string, edit Edit, more ...Member) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	edited, err := Bytes(content, edit, more...)
	if err != nil {
		return fmt.Errorf("cannot repack %s: %w", from, err)
	}
	return os.WriteFile(to, edited, 0o644)
}

// Bytes is File in memory.
func Bytes(pkg []byte, edit Edit, more ...Member) ([]byte, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(pkg))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	archive := tar.NewWriter(packed)
	if err := copyEdited(archive, tar.NewReader(unpacked), edit); err != nil {
		return nil, err
	}
	for _, m := range more {
		file := &tar.Header{Name: m.Name, Mode: 0o644, Size: int64(len(m.Content))}
		if err := write(archive, file, m.Content); err != nil {
			return nil, err
		}
	}
	err = errors.Join(archive.Close(), packed.Close())
	return out.Bytes(), err
}

func copyEdited(to *tar.Writer, from *tar.Reader, edit Edit) error {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		if header.Typeflag == tar.TypeReg {
			header.Name, content = edit(header.Name, content)
			header.Size = int64(len(content))
		}
		if header.Name == "" {
			continue
		}
		if err := write(to, header, content); err != nil {
			return err
		}
	}
}

func write(to *tar.Writer, header *tar.Header, content []byte) error {
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err := to.Write(content)
	return err
}
