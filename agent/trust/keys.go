package trust

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"

	"theseus/agent/etc"
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
			return nil, fmt.Errorf("cannot read a key: %w", err)
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
	text, err := etc.Text(path, p.Volume)
	switch {
	case err != nil:
		return key, err
	case len(text) > keyBytes:
		return key, fmt.Errorf("%s has more than %d bytes", path, keyBytes)
	}
	if err := key.UnmarshalText(text); err != nil {
		return key, fmt.Errorf("%s is none: %s", path, strings.TrimPrefix(err.Error(), "minisign: "))
	}
	return key, nil
}

// ReadSignature reads the file of a signature, which may be anybody's.
func ReadSignature(path string) (string, error) {
	file, err := etc.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := ReadSignatureFrom(file)
	if err == nil && len(text) > signatureBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, signatureBytes)
	}
	return text, err
}

// ReadSignatureFrom reads the text of a signature from wherever it comes: no more than one can have, and a byte, which
// makes it one that nobody takes.
func ReadSignatureFrom(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, signatureBytes+1))
	return string(text), err
}
