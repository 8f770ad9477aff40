package trust

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"aead.dev/minisign"

	"theseus/agent/trust/trusttest"
)

func makeKey(t testing.TB, dir string) trusttest.Key {
	t.Helper()
	k, err := trusttest.NewKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check reads a package to its end.
func check(p Policy, content []byte, signature string) (Signer, error) {
	r, err := p.Open(iotest.HalfReader(bytes.NewReader(content)), signature)
	if err != nil {
		return Signer{}, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return Signer{}, err
	}
	return r.Signer()
}

// refusal is the error as what it should be, or nothing.
func refusal(err error) Error {
	var e *Error
	if !errors.As(err, &e) {
		return Error{}
	}
	return *e
}

func distrusted(t *testing.T, err error, want Code, words string) {
	t.Helper()
	e := refusal(err)
	if e.Code != want || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (%s), want %s: …%s…", err, e.Code, want, words)
	}
	if e.Hint == "" {
		t.Errorf("%v has no hint", err)
	}
}

func TestWhatMinisignSignsIsTrusted(t *testing.T) {
	content, err := os.ReadFile("testdata/package")
	if err != nil {
		t.Fatal(err)
	}
	team := filepath.Join(t.TempDir(), "team.pub")
	key, err := os.ReadFile("testdata/team.pub")
	if err != nil {
		t.Fatal(err)
	}
	write(t, team, string(key)) // which nobody else may write, whatever a checkout made of it
	for file, comment := range map[string]string{"hashed": "demo 1.1.0", "legacy": "demo 1.1.0, the old way"} {
		text, err := ReadSignature("testdata/" + file + Suffix)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := check(Policy{Keys: team}, content, text)
		if err != nil || signer.Comment != comment || len(signer.Key) != 16 {
			t.Errorf("%s: %+v, %v", file, signer, err)
		}
		for n := range content {
			changed := bytes.Clone(content)
			changed[n] ^= 1
			_, err := check(Policy{Keys: team}, changed, text)
			distrusted(t, err, BadSignature, "is not what key")
		}
	}
}

func TestAnyOfSeveralKeysVerifiesAndARotationNeedsNoRestart(t *testing.T) {
	dir := t.TempDir()
	old, content := makeKey(t, dir), []byte("a package")
	p := Policy{Keys: dir}
	younger := makeKey(t, t.TempDir())
	_, err := check(p, content, younger.Sign(content, "x"))
	distrusted(t, err, UnknownKey, "it is signed by key "+younger.ID+", and trusted is "+old.ID)

	write(t, filepath.Join(dir, "younger.pub"), string(younger.Public))
	for _, k := range []trusttest.Key{old, younger} {
		if signer, err := check(p, content, k.Sign(content, "x")); err != nil || signer.Key != k.ID {
			t.Errorf("%+v, %v", signer, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, old.ID+".pub")); err != nil {
		t.Fatal(err)
	}
	_, err = check(p, content, old.Sign(content, "x"))
	distrusted(t, err, UnknownKey, old.ID)
}

func TestKeysOfOneIDAreTriedAll(t *testing.T) {
	dir, content := t.TempDir(), []byte("a package")
	k := makeKey(t, dir)
	var stranger minisign.PublicKey
	if err := stranger.UnmarshalText(makeKey(t, t.TempDir()).Public); err != nil {
		t.Fatal(err)
	}
	// The id stands in front of the key, and nothing protects it.
	forged := sameID(t, k.Public, stranger)
	write(t, filepath.Join(dir, "0.pub"), forged)
	if signer, err := check(Policy{Keys: dir}, content, k.Sign(content, "x")); err != nil || signer.Key != k.ID {
		t.Errorf("%+v, %v", signer, err)
	}
}

func TestWhatIsNotTrustedIsRefusedBeforeItIsRead(t *testing.T) {
	dir, content := t.TempDir(), []byte("a package")
	k := makeKey(t, dir)
	good := k.Sign(content, "x")
	for name, test := range map[string]struct {
		signature string
		want      Code
		words     string
	}{
		"none":      {"", Unsigned, "it has no signature, and needs one of key " + k.ID},
		"no text":   {"signed, honestly", BadSignature, "cannot be read"},
		"cut":       {good[:len(good)/2], BadSignature, "cannot be read"},
		"long":      {good + strings.Repeat(" ", signatureBytes), BadSignature, "more than"},
		"a key":     {string(k.Public), BadSignature, "cannot be read"},
		"stranger":  {makeKey(t, t.TempDir()).Sign(content, "x"), UnknownKey, "trusted is " + k.ID},
		"algorithm": {strings.Replace(good, "RU", "RX", 1), BadSignature, "algorithm"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Policy{Keys: dir}.Open(iotest.ErrReader(io.ErrNoProgress), test.signature)
			if code := refusal(err).Code; code != test.want || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v (%s)", err, code)
			}
		})
	}
}

func TestAChangedTrustedCommentIsNoSignature(t *testing.T) {
	dir, content := t.TempDir(), []byte("a package")
	signature := makeKey(t, dir).Sign(content, "demo 1.1.0")
	_, err := check(Policy{Keys: dir}, content, strings.Replace(signature, "demo 1.1.0", "demo 1.2.0", 1))
	distrusted(t, err, BadSignature, "is not what key")
	// That of minisign that nobody has signed may say anything.
	if _, err := check(Policy{Keys: dir}, content, strings.Replace(signature, "untrusted\n", "anything\n", 1)); err != nil {
		t.Error(err)
	}
}

func TestALegacySignatureOfABigPackageIsRefused(t *testing.T) {
	dir := t.TempDir()
	k := makeKey(t, dir)
	for size, want := range map[int]Code{legacyBytes: "", legacyBytes + 1: LegacySignature} {
		content := make([]byte, size)
		_, err := check(Policy{Keys: dir}, content, k.SignLegacy(content))
		if refusal(err).Code != want {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := check(Policy{Keys: dir}, content, k.Sign(content, "x")); err != nil {
			t.Errorf("%d bytes, hashed: %v", size, err)
		}
	}
}

// TestALegacySignatureOfADigestIsNone: whoever has somebody sign 64 bytes has no signature of what they are the
// digest of.
func TestALegacySignatureOfADigestIsNone(t *testing.T) {
	dir, content := t.TempDir(), []byte("a hostile package")
	k := makeKey(t, dir)
	hashed := k.Sign(content, "x")
	var s minisign.Signature
	if err := s.UnmarshalText([]byte(hashed)); err != nil {
		t.Fatal(err)
	}
	s.Algorithm = minisign.EdDSA
	_, err := check(Policy{Keys: dir}, content, s.String())
	distrusted(t, err, BadSignature, "is not what key")
}

func TestKeysThatCannotBeUsedAreNamedAndNothingIsTrusted(t *testing.T) {
	dir, content := t.TempDir(), []byte("a package")
	good := makeKey(t, dir)
	broken, empty, onVolume := filepath.Join(t.TempDir(), "broken"), t.TempDir(), t.TempDir()
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(broken, "good.pub"), string(good.Public))
	write(t, filepath.Join(broken, "torn.pub"), string(good.Public[:60]))
	write(t, filepath.Join(broken, "big.pub"), strings.Repeat("x", keyBytes+1))
	linked := t.TempDir()
	write(t, filepath.Join(onVolume, "node.pub"), string(good.Public))
	if err := os.Symlink(filepath.Join(onVolume, "node.pub"), filepath.Join(linked, "image.pub")); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(t.TempDir(), "open.pub")
	write(t, open, string(good.Public))
	if err := os.Chmod(open, 0o664); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{
		dir + "/nothing.pub":             "no such file",
		empty:                            "holds no *.pub",
		filepath.Join(broken, "big.pub"): "more than 4096 bytes",
		broken:                           "cannot read a key",
		onVolume:                         "node.pub is on the volume, which the node can write",
		linked:                           "image.pub is on the volume, which the node can write",
		"/dev/zero":                      "/dev/zero is no regular file",
		open:                             "by everybody (mode 0664); chmod go-w " + open + " mends it",
	} {
		p := Policy{Keys: path, Volume: onVolume}
		_, err := check(p, content, good.Sign(content, "x"))
		distrusted(t, err, UnusableKeys, words)
		if p.Check() == nil {
			t.Errorf("%s is said to be usable", path)
		}
	}
}

func TestWithoutKeysNothingIsAskedFor(t *testing.T) {
	for _, signature := range []string{"", "signed, honestly"} {
		r, err := Policy{}.Open(strings.NewReader("a package"), signature)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		signer, bad := r.Signer()
		if string(content) != "a package" || signer != (Signer{}) || err != nil || bad != nil {
			t.Errorf("%q, %+v, %v, %v", content, signer, err, bad)
		}
		if r.Unchecked() != (signature != "") {
			t.Errorf("%q is said to be checked", signature)
		}
	}
}

// sameID is the text of a key with the id of another one, which stands behind two bytes of its kind.
func sameID(t testing.TB, text []byte, k minisign.PublicKey) string {
	t.Helper()
	_, line, _ := bytes.Cut(text, []byte("\n"))
	of, err := base64.StdEncoding.DecodeString(string(line))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := base64.StdEncoding.DecodeString(k.String())
	if err != nil {
		t.Fatal(err)
	}
	copy(forged[2:10], of[2:10])
	return "untrusted comment: forged\n" + base64.StdEncoding.EncodeToString(forged)
}
