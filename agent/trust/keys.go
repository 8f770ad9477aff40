package trust

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"
)

const (
	keyBytes = 4 << 10 // of a key's file, which has 113
	keyCount = 64
)

// load reads every key. One that cannot be read makes all of them unusable: to go on with the others would hide
// that a rotation went wrong.
func (p Policy) load() ([]minisign.PublicKey, error) {
	files, err := keyFiles(p.Keys)
	if err != nil {
		return nil, err
	}
	var keys []minisign.PublicKey
	for _, file := range files {
		key, err := p.loadKey(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the key %s: %w", file, err)
		}
		if !slices.ContainsFunc(keys, func(k minisign.PublicKey) bool { return k.Equal(key) }) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Check reads the keys for nothing but the errors in them.
func (p Policy) Check() error {
	if !p.Required() {
		return nil
	}
	_, err := p.load()
	return err
}

func keyFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".pub" {
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	switch {
	case len(files) == 0:
		return nil, fmt.Errorf("%s holds no *.pub", path)
	case len(files) > keyCount:
		return nil, fmt.Errorf("%s holds more than %d keys", path, keyCount)
	}
	return files, nil
}

func (p Policy) loadKey(path string) (minisign.PublicKey, error) {
	var key minisign.PublicKey
	place, err := filepath.EvalSymlinks(path) // a mounted secret is a link
	if err != nil {
		return key, err
	}
	if p.Volume != "" && isBelow(p.Volume, place) {
		return key, fmt.Errorf("it is on the volume, where the node could change it")
	}
	text, err := readLimited(place, keyBytes)
	if err != nil {
		return key, err
	}
	if err := key.UnmarshalText(text); err != nil {
		return key, errors.New(strings.TrimPrefix(err.Error(), "minisign: "))
	}
	return key, nil
}

// isBelow compares places, after all links.
func isBelow(dir, path string) bool {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	name, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(name)
}

// readLimited reads a file that is small, or is not what it should be.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

// ReadSignature reads the file of a signature.
func ReadSignature(path string) (string, error) {
	text, err := readLimited(path, signatureBytes)
	return string(text), err
}
