package source_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"theseus/agent/source"
	"theseus/agent/trust"
	"theseus/agent/trust/trusttest"
	"theseus/integration/registry"
)

// TestAPackageOfARegistryIsTheOneLayerOfItsManifest in a real registry.
func TestAPackageOfARegistryIsTheOneLayerOfItsManifest(t *testing.T) {
	r := registry.Start(t, registry.Options{})
	content, digest := randomPackage(t, 500<<10)
	pkg := func(kind string) registry.Layer {
		return registry.Layer{Type: kind, Title: "app.tar.gz", Content: content}
	}
	ours := r.Push(nil, "shop", "1.1.0", nil, "", pkg(source.MediaType))
	r.Push(nil, "shop", "oras", nil, "", pkg(ocispec.MediaTypeImageLayer))
	r.Push(nil, "shop", "generic", nil, "", pkg(ocispec.MediaTypeImageLayerGzip))
	r.Push(nil, "shop", "other", nil, "", pkg("text/plain"))
	r.Push(nil, "shop", "two", nil, "", pkg(source.MediaType), pkg(ocispec.MediaTypeImageLayerGzip))
	address := "oci://" + r.Host + "/shop"
	for _, c := range []struct {
		ref, sha256, code, words string
	}{
		{ref: "@" + ours.Digest.String()},
		{ref: ":1.1.0", sha256: digest},
		{ref: ":1.1.0@" + ours.Digest.String()},
		{ref: ":oras", sha256: digest},
		{ref: ":generic", sha256: digest},
		{ref: ":other", sha256: digest, code: source.CodeNoPackage, words: `its layer is of type "text/plain"`},
		{ref: ":two", sha256: digest, code: source.CodeNoPackage, words: "it has 2 layers, and a package is one"},
		{ref: ":nowhere", sha256: digest, code: source.CodeNoPackage, words: "it answers 404"},
		{ref: ":1.1.0", code: source.CodeUnprotected},
		{ref: "@" + ours.Digest.String(), sha256: strings.Repeat("0", 64), code: source.CodeWrongDigest, words: "its sha256 is " + digest},
		{ref: "@sha256:" + strings.Repeat("0", 64), code: source.CodeNoPackage, words: "it answers 404"},
	} {
		got, err := fetched(t, address+c.ref, source.Options{Pace: pace, SHA256: c.sha256}, trust.Policy{})
		code, words := codeOf(err)
		if c.code == source.CodeUnprotected && code == "" || code != c.code && c.code != source.CodeUnprotected || !strings.Contains(words, c.words) {
			t.Errorf("%s: %s: %s", c.ref, code, words)
		}
		if c.code == "" && !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, want %d", c.ref, len(got), len(content))
		}
	}
}

// TestASignatureIsALayerBesideThePackageOrRefersToIt as oras push and oras attach make them.
func TestASignatureIsALayerBesideThePackageOrRefersToIt(t *testing.T) {
	r := registry.Start(t, registry.Options{})
	keys := t.TempDir()
	key, err := trusttest.NewKey(keys)
	if err != nil {
		t.Fatal(err)
	}
	layers := func(seed byte) (pkg, signature registry.Layer) {
		content := bytes.Repeat([]byte{seed}, 1000)
		return registry.Layer{Type: source.MediaType, Title: "app.tar.gz", Content: content},
			registry.Layer{Type: ocispec.MediaTypeImageLayer, Title: "app.tar.gz.minisig", Content: []byte(key.Sign(content, "app"))}
	}
	pkg, signature := layers(1)
	r.Push(nil, "shop", "beside", nil, "", pkg, signature)
	pkg, signature = layers(2)
	subject := r.Push(nil, "shop", "referred", nil, "", pkg)
	r.Push(nil, "shop", "", &subject, source.SignatureType, signature)
	pkg, _ = layers(3)
	r.Push(nil, "shop", "forged", nil, "", pkg, signature)
	pkg, _ = layers(4)
	r.Push(nil, "shop", "unsigned", nil, "", pkg)
	for tag, code := range map[string]string{"beside": "", "referred": "", "forged": "bad-signature", "unsigned": "unsigned"} {
		_, err := fetched(t, "oci://"+r.Host+"/shop:"+tag, source.Options{Pace: pace}, trust.Policy{Keys: keys})
		if got, words := codeOf(err); got != code {
			t.Errorf("%s: %s: %s", tag, got, words)
		}
	}
}

// TestARegistryIsToldWhoAsksAsDockerWould: by its config.json, and by the helper that this names.
func TestARegistryIsToldWhoAsksAsDockerWould(t *testing.T) {
	r := registry.Start(t, registry.Options{Login: true})
	content, digest := randomPackage(t, 1000)
	r.Push(nil, "shop", "1.1.0", nil, "", registry.Layer{Type: source.MediaType, Content: content})
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	helper := fmt.Sprintf("#!/bin/sh\necho '{\"ServerURL\":\"%s\",\"Username\":\"%s\",\"Secret\":\"%s\"}'\n", r.Host, registry.User, registry.Password)
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-story"), []byte(helper), 0o755); err != nil {
		t.Fatal(err)
	}
	login := base64.StdEncoding.EncodeToString([]byte(registry.User + ":" + registry.Password))
	for config, code := range map[string]string{
		`{}`: source.CodeNoPackage,
		`{"auths": {"` + r.Host + `": {"auth": "` + login + `"}}}`: "",
		`{"credHelpers": {"` + r.Host + `": "story"}}`:             "",
		`{"auths": {"example.org": {"auth": "` + login + `"}}}`:    source.CodeNoPackage,
		`{"auths": `: source.CodeNoPackage,
	} {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := fetched(t, "oci://"+r.Host+"/shop:1.1.0", source.Options{Pace: pace, SHA256: digest}, trust.Policy{})
		got, words := codeOf(err)
		if got != code || strings.Contains(words, registry.Password) || strings.Contains(words, login) {
			t.Errorf("%s: %s: %s", config, got, words)
		}
	}
}

// TestABlobThatIsCutGoesOnWhereItWas: a proxy before the registry hangs up on the first requests for one.
func TestABlobThatIsCutGoesOnWhereItWas(t *testing.T) {
	r := registry.Start(t, registry.Options{})
	content, _ := randomPackage(t, 1<<20)
	desc := r.Push(nil, "shop", "1.1.0", nil, "", registry.Layer{Type: source.MediaType, Content: content})
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Host})
	var cuts, ranges atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Range") != "" {
			ranges.Add(1)
		}
		if strings.Contains(q.URL.Path, "/blobs/") && cuts.Add(1) <= 3 {
			w = &shortWriter{ResponseWriter: w, left: 100_000}
		}
		proxy.ServeHTTP(w, q)
	}))
	defer web.Close()
	got, err := fetched(t, "oci://"+strings.TrimPrefix(web.URL, "http://")+"/shop@"+desc.Digest.String(), source.Options{Pace: pace}, trust.Policy{})
	if err != nil || !bytes.Equal(got, content) || ranges.Load() != 3 {
		t.Errorf("%d bytes, %d ranges: %v", len(got), ranges.Load(), err)
	}
}

// shortWriter hangs up after so many bytes.
type shortWriter struct {
	http.ResponseWriter
	left int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	out := http.NewResponseController(w.ResponseWriter)
	_ = out.Flush()
	if conn, _, err := out.Hijack(); err == nil {
		conn.Close()
	}
	return 0, http.ErrAbortHandler
}
