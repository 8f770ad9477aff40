package volume

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

func (m *model) Open(path string) (io.ReadSeekCloser, error) {
	n, err := m.find(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return modelReader{bytes.NewReader(n.data)}, nil
}

type modelReader struct{ *bytes.Reader }

func (modelReader) Close() error { return nil }

func (m *model) ReadDir(path string) ([]fs.DirEntry, error) {
	n, err := m.find(path)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: err}
	}
	var entries []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		entries = append(entries, fs.FileInfoToDirEntry(modelInfo{name, n.names[name]}))
	}
	return entries, nil
}

func (m *model) Lstat(path string) (fs.FileInfo, error) {
	n, err := m.find(path)
	if err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return modelInfo{filepath.Base(path), n}, nil
}

// Stat follows links into the image, which is not a part of the model.
func (m *model) Stat(path string) (fs.FileInfo, error) {
	info, err := m.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return info, err
	}
	target, err := m.Readlink(path)
	if err != nil {
		return nil, err
	}
	return os.Stat(target)
}

func (m *model) Readlink(path string) (string, error) {
	n, err := m.find(path)
	if err == nil && n.mode&fs.ModeSymlink == 0 {
		err = unix.EINVAL
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(n.data), nil
}

func (m *model) Free(string) (space, error) {
	if m.full {
		return space{}, nil
	}
	return space{1 << 30, 1 << 20}, nil
}

type modelInfo struct {
	name string
	n    *node
}

func (i modelInfo) Name() string       { return i.name }
func (i modelInfo) Size() int64        { return int64(len(i.n.data)) }
func (i modelInfo) Mode() fs.FileMode  { return i.n.mode }
func (i modelInfo) ModTime() time.Time { return time.Time{} }
func (i modelInfo) IsDir() bool        { return i.n.mode.IsDir() }
func (i modelInfo) Sys() any           { return nil }
