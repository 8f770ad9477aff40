package source_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/agent/source"
	"theseus/agent/source/sourcetest"
	"theseus/agent/trust"
	"theseus/agent/trust/trusttest"
	"theseus/volume"
)

var pace = sourcetest.Unhurried

var limits = volume.Limits{PackageBytes: 32 << 20}

func randomPackage(t *testing.T, size int) (content []byte, digest string) {
	t.Helper()
	content = make([]byte, size)
	_, _ = rand.Read(content)
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:])
}

// TestAPackageOfTheWebComesWholeOrNotAtAll in each way that a server has.
func TestAPackageOfTheWebComesWholeOrNotAtAll(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	content, digest := randomPackage(t, 500<<10)
	cases := sourcetest.Cases()
	web := sourcetest.NewWeb(t, content, cases)
	t.Run("all", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				got, err := fetched(t, web.Package(i)+"#sha256="+digest, source.Options{Pace: c.Pace()}, trust.Policy{})
				if code, words := codeOf(err); code != c.Code || !c.Tells(words) {
					t.Fatalf("%s: %s; want %s: %s", code, words, c.Code, c.Words)
				}
				if c.Code == "" && (!bytes.Equal(got, content) || web.Tries(i) != c.Tries) {
					t.Errorf("%d bytes after %d requests, want %d after %d", len(got), web.Tries(i), len(content), c.Tries)
				}
			})
		}
	})
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("%d files are left: %v", len(left), err)
	}
}

// fetched is the content of a package, which is taken away again.
func fetched(t *testing.T, ref string, o source.Options, policy trust.Policy) ([]byte, error) {
	t.Helper()
	o.Retried = func(message string) { t.Log(message) }
	file, err := source.Fetch(t.Context(), ref, o, policy, limits)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	return content, file.Close()
}

func codeOf(err error) (code, words string) {
	var told *api.Error
	var distrust *trust.Error
	var pkg *volume.PackageError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &told):
		return told.Code, told.Message
	case errors.As(err, &distrust):
		return string(distrust.Code), distrust.Error()
	case errors.As(err, &pkg):
		return string(pkg.Code), pkg.Error()
	}
	return "?", err.Error()
}

// TestASourceThatStallsIsLeftAtOnceByItsReader: whoever closes a package does not wait for it.
func TestASourceThatStallsIsLeftAtOnceByItsReader(t *testing.T) {
	content, digest := randomPackage(t, 1000)
	cases := sourcetest.Cases()
	web := sourcetest.NewWeb(t, content, cases)
	for i, c := range cases {
		if c.Name != "stalls" {
			continue
		}
		pkg, err := source.Open(t.Context(), web.Package(i), source.Options{SHA256: digest})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, pkg)
			ended <- err
		}()
		pkg.Close()
		if err := <-ended; err == nil {
			t.Error("a package of which half has come ended well")
		}
		if pkg.Err() == nil {
			t.Error("it does not know that it was not read to its end")
		}
	}
}

func TestWhatComesOverANetworkNeedsADigestOrASignature(t *testing.T) {
	content, digest := randomPackage(t, 1000)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	defer web.Close()
	for _, ref := range []string{web.URL + "/app.tar.gz", "https://example.invalid/app.tar.gz", "oci://example.invalid/app:1.1.0"} {
		if _, err := source.Open(t.Context(), ref, source.Options{}); err == nil {
			t.Errorf("%s is taken as it comes", ref)
		} else if code, words := codeOf(err); code != source.CodeUnprotected {
			t.Errorf("%s: %s: %s", ref, code, words)
		}
	}
	for name, o := range map[string]source.Options{"a digest": {SHA256: digest}, "a signature": {Signed: true, Signature: "a\ntext"}, "nothing, to look at it": {Look: true}} {
		pkg, err := source.Open(t.Context(), web.URL+"/app.tar.gz", o)
		if err != nil {
			t.Errorf("with %s: %v", name, err)
			continue
		}
		pkg.Close()
	}
}

// TestASignatureLiesBesideItsPackage, at the same address and for the same user.
func TestASignatureLiesBesideItsPackage(t *testing.T) {
	content, _ := randomPackage(t, 1000)
	keys := t.TempDir()
	key, err := trusttest.NewKey(keys)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "carol" || password != "sesame" || r.URL.RawQuery != "v=1":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/signed.tar.gz.minisig":
			_, _ = io.WriteString(w, key.Sign(content, "app 1.1.0"))
		case r.URL.Path == "/forged.tar.gz.minisig":
			_, _ = io.WriteString(w, key.Sign(content[1:], "app 1.1.0"))
		case r.URL.Path == "/endless.tar.gz.minisig":
			_, _ = io.WriteString(w, strings.Repeat("untrusted comment: ", 1<<20))
		case strings.HasSuffix(r.URL.Path, ".minisig"):
			w.WriteHeader(http.StatusForbidden) // as S3 says of what it has not
		default:
			_, _ = w.Write(content)
		}
	}))
	defer web.Close()
	address := strings.Replace(web.URL, "http://", "http://carol:sesame@", 1)
	for name, code := range map[string]string{"signed": "", "forged": "bad-signature", "endless": "bad-signature", "unsigned": "unsigned"} {
		_, err := fetched(t, address+"/"+name+".tar.gz?v=1", source.Options{Pace: pace}, trust.Policy{Keys: keys})
		if got, words := codeOf(err); got != code {
			t.Errorf("%s: %s: %s", name, got, words)
		}
	}
}

// TestAUserIsFoundInNetrcAndTellsNobody: where the server leads to another host, that one is not told who asked.
func TestAUserIsFoundInNetrcAndTellsNobody(t *testing.T) {
	content, digest := randomPackage(t, 1000)
	told := make(chan string, 1)
	host := "" // of the other one, which has another port in any case
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Authorization") + r.Header.Get("Referer")
		_, _ = w.Write(content)
	}))
	defer other.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "carol" || password != "sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", host, 1), http.StatusFound)
	}))
	defer web.Close()
	netrc := filepath.Join(t.TempDir(), "netrc")
	t.Setenv("NETRC", netrc)
	for text, code := range map[string]string{
		"machine 127.0.0.1 login carol password sesame\n":                                             "",
		"machine a login b password c\nmachine 127.0.0.1\n  login carol\n  password sesame":           "",
		"macdef init\nmachine 127.0.0.1 login x password y\n\ndefault login carol password sesame":    "",
		"machine example.org login carol password sesame\n":                                           source.CodeNoPackage,
		"machine 127.0.0.1 login carol password wrong\nmachine 127.0.0.1 login carol password sesame": source.CodeNoPackage,
	} {
		if err := os.WriteFile(netrc, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, host = range []string{"localhost", "127.0.0.1"} {
			_, err := fetched(t, web.URL+"#sha256="+digest, source.Options{Pace: pace}, trust.Policy{})
			if got, words := codeOf(err); got != code {
				t.Errorf("%q: %s: %s", text, got, words)
			}
			if code == "" {
				if who := <-told; who != "" {
					t.Errorf("%q: another server on %s was told %q", text, host, who)
				}
			}
		}
	}
}

func TestNothingSecretOfAReferenceIsShown(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://carol:hunter2@127.0.0.1:1/app.tar.gz?token=hunter2", http.StatusFound)
	}))
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said strings.Builder
	brief := source.Pace{Stall: 4 * time.Second, Patience: 4 * time.Second, Pause: 10 * time.Millisecond, Longest: 100 * time.Millisecond}
	o := source.Options{Look: true, Pace: brief, Retried: func(message string) { said.WriteString(message + "\n") }}
	ref := strings.Replace(web.URL, "http://", "http://carol:hunter2@", 1) + "/app.tar.gz?token=hunter2"
	_, err := source.Open(ctx, ref, o)
	code, words := codeOf(err)
	said.WriteString(words)
	if code != source.CodeLost || !strings.Contains(said.String(), "connection refused") || strings.Contains(said.String(), "hunter2") {
		t.Errorf("%s: it says\n%s", code, said.String())
	}
}
