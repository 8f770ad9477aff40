// Package trusttest makes keys and signatures, for tests.
package trusttest

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"aead.dev/minisign"
)

// Key is a key pair.
type Key struct {
	ID      string // 16 hex digits
	Public  []byte // the text of its .pub
	private minisign.PrivateKey
}

// NewKey makes a key pair, and puts the public half into a directory as <id>.pub.
func NewKey(dir string) (Key, error) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	k := Key{ID: fmt.Sprintf("%016X", public.ID()), private: private}
	if k.Public, err = public.MarshalText(); err != nil {
		return Key{}, err
	}
	return k, os.WriteFile(filepath.Join(dir, k.ID+".pub"), k.Public, 0o644)
}

// Sign is the text of a .minisig, as minisign -S makes it.
func (k Key) Sign(content []byte, comment string) string {
	r := minisign.NewReader(bytes.NewReader(content))
	_, _ = io.Copy(io.Discard, r) // from memory
	return string(r.SignWithComments(k.private, comment, "untrusted"))
}

// SignLegacy is what minisign -S -l makes.
func (k Key) SignLegacy(content []byte) string { return string(minisign.Sign(k.private, content)) }
