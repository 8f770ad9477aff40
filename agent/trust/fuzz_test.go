package trust

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// FuzzSignature: whatever the text says, only what the key has signed is trusted, and nothing panics.
func FuzzSignature(f *testing.F) {
	content := []byte("a package")
	dir := f.TempDir()
	k := makeKey(f, dir)
	good := k.Sign(content, "demo 1.1.0")
	for _, seed := range []string{good, k.SignLegacy(content), "", "untrusted comment: x\n\ntrusted comment: y\n", good[:40]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Policy{Keys: dir}.Open(bytes.NewReader(content), text)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		if signer, err := r.Signer(); err == nil && signer.Comment != "demo 1.1.0" && !r.legacy {
			t.Errorf("%q is trusted: %q", text, signer)
		}
	})
}

// FuzzKey: a file that is no key is an error.
func FuzzKey(f *testing.F) {
	k := makeKey(f, f.TempDir())
	for _, seed := range []string{string(k.Public), "", "RWQ", "untrusted comment: x\n\n"} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "some.pub")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if keys, err := (Policy{Keys: path}).load(); (err == nil) != (len(keys) == 1) {
			t.Errorf("%q: %v, %v", text, keys, err)
		}
	})
}
