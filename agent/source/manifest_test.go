package source_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"theseus/agent/source"
	"theseus/agent/trust"
)

// forger is a registry that says of one package what no registry would take.
type forger struct {
	*httptest.Server
	content  []byte // of the one blob that there is
	manifest []byte
	kind     string             // of the manifest
	named    ocispec.Descriptor // what is asked for, unless that is the manifest's
	chunked  bool               // nothing says its length beforehand

	mu    sync.Mutex
	asked []string // of blobs
	cuts  int      // of manifests, until one comes whole
}

func newForger(t *testing.T, content []byte, m ocispec.Manifest) *forger {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{content: content, manifest: text, kind: ocispec.MediaTypeImageManifest}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// ServeHTTP answers as a registry.
func (f *forger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, what, _ := strings.Cut(r.URL.Path, "/v2/shop/")
	kind, name, _ := strings.Cut(what, "/")
	switch kind {
	case "manifests":
		w.Header().Set("Content-Type", f.kind)
		if f.cut() {
			w = &shortWriter{ResponseWriter: w, left: 10}
		}
		f.send(w, r, f.manifest)
	case "blobs":
		f.mu.Lock()
		f.asked = append(f.asked, name)
		f.mu.Unlock()
		if name != describe(f.content).Digest.String() {
			http.NotFound(w, r)
			return
		}
		f.send(w, r, f.content)
	default:
		http.NotFound(w, r)
	}
}

func (f *forger) cut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cuts--
	return f.cuts >= 0
}

func (f *forger) send(w http.ResponseWriter, r *http.Request, content []byte) {
	switch {
	case r.Header.Get("Range") != "":
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	case f.chunked:
		_, _ = w.Write(content[:1])
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(content[1:])
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	}
}

// describe is what a manifest says of a package, where that is true.
func describe(text []byte) ocispec.Descriptor {
	return content.NewDescriptorFromBytes(source.MediaType, text)
}

// TestAManifestThatIsNotTrueIsRefusedInItsOwnWords, and nothing is left behind.
func TestAManifestThatIsNotTrueIsRefusedInItsOwnWords(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	content, _ := randomPackage(t, 100<<10)
	size := int64(len(content))
	good := describe(content)
	with := func(change func(*ocispec.Manifest)) ocispec.Manifest {
		m := ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{good},
		}
		change(&m)
		return m
	}
	layer := func(change func(*ocispec.Descriptor)) ocispec.Manifest {
		return with(func(m *ocispec.Manifest) { change(&m.Layers[0]) })
	}
	same := with(func(*ocispec.Manifest) {})
	for name, c := range map[string]struct {
		manifest    ocispec.Manifest
		forge       func(*forger)
		code, words string
		blobs       int // that are asked for
	}{
		"true":                      {manifest: same, blobs: 1},
		"true, in chunks":           {manifest: same, forge: func(f *forger) { f.chunked = true }, blobs: 1},
		"true, and cut twice":       {manifest: same, forge: func(f *forger) { f.cuts = 2 }, blobs: 1},
		"a config of another size":  {manifest: with(func(m *ocispec.Manifest) { m.Config.Size = 1 << 50 }), blobs: 1},
		"a config that nobody has":  {manifest: with(func(m *ocispec.Manifest) { m.Config = ocispec.Descriptor{MediaType: "text/plain", Digest: "sha256:0"} }), blobs: 1},
		"a layer that is smaller":   {manifest: layer(func(l *ocispec.Descriptor) { l.Size-- }), code: source.CodeNoPackage, words: "it has 102400 bytes, and 102399 says its manifest", blobs: 1},
		"a layer that is larger":    {manifest: layer(func(l *ocispec.Descriptor) { l.Size++ }), code: source.CodeNoPackage, words: "it has 102400 bytes, and 102401 says its manifest", blobs: 1},
		"a smaller layer in chunks": {manifest: layer(func(l *ocispec.Descriptor) { l.Size-- }), forge: func(f *forger) { f.chunked = true }, code: source.CodeLost, words: "it sends more than the 102399 bytes that it has", blobs: 1},
		"a larger layer in chunks":  {manifest: layer(func(l *ocispec.Descriptor) { l.Size++ }), forge: func(f *forger) { f.chunked = true }, code: source.CodeLost, words: "it ends after 102400 of 102401 bytes", blobs: 2},
		"a layer of nothing":        {manifest: layer(func(l *ocispec.Descriptor) { l.Size = 0 }), code: source.CodeNoPackage, words: "its layer has 0 bytes, says its manifest"},
		"a layer of less":           {manifest: layer(func(l *ocispec.Descriptor) { l.Size = -1 }), code: source.CodeNoPackage, words: "its layer has -1 bytes, says its manifest"},
		"a layer beyond the limit":  {manifest: layer(func(l *ocispec.Descriptor) { l.Size = limits.PackageBytes + 1 }), code: source.CodeNoPackage, words: "it has 102400 bytes, and 33554433 says its manifest", blobs: 1},
		"another layer":             {manifest: layer(func(l *ocispec.Descriptor) { l.Digest = describe([]byte("another")).Digest }), code: source.CodeNoPackage, words: "it answers 404", blobs: 1},
		"a layer of another digest": {manifest: layer(func(l *ocispec.Descriptor) { l.Digest = "sha512:" + l.Digest[7:] + l.Digest[7:] }), code: source.CodeNoPackage, words: "its layer has no sha256"},
		"a layer without a digest":  {manifest: layer(func(l *ocispec.Descriptor) { l.Digest = "" }), code: source.CodeNoPackage, words: "its layer has no sha256"},
		"a digest that leads away":  {manifest: layer(func(l *ocispec.Descriptor) { l.Digest = "sha256:../../../etc" }), code: source.CodeNoPackage, words: "its layer has no sha256"},
		"a layer of no type":        {manifest: layer(func(l *ocispec.Descriptor) { l.MediaType = "" }), code: source.CodeNoPackage, words: `its layer is of type ""`},
		"a layer of a newer type":   {manifest: layer(func(l *ocispec.Descriptor) { l.MediaType = "application/vnd.theseus.release.v2.tar+gzip" }), code: source.CodeNoPackage, words: `its layer is of type "application/vnd.theseus.release.v2.tar+gzip"`},
		"no layer":                  {manifest: with(func(m *ocispec.Manifest) { m.Layers = nil }), code: source.CodeNoPackage, words: "it has 0 layers, and a package is one"},
		"the same layer twice":      {manifest: with(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, good) }), code: source.CodeNoPackage, words: "it has 2 layers, and a package is one"},
		"many layers":               {manifest: with(func(m *ocispec.Manifest) { m.Layers = manyLayers(good) }), code: source.CodeNoPackage, words: "it has 10000 layers, and a package is one"},
		"signatures alone":          {manifest: layer(func(l *ocispec.Descriptor) { l.MediaType = source.SignatureType }), code: source.CodeNoPackage, words: "it has 0 layers, and a package is one"},
		"a manifest beyond the limit": {
			manifest: same, forge: func(f *forger) { f.manifest = append(f.manifest, bytes.Repeat([]byte(" "), 4<<20)...) },
			code: source.CodeNoPackage, words: "its manifest has more than 4194304 bytes",
		},
		"a manifest beyond the limit, in chunks": {
			manifest: same, forge: func(f *forger) { f.chunked, f.manifest = true, append(f.manifest, bytes.Repeat([]byte(" "), 4<<20)...) },
			code: source.CodeNoPackage, words: "its manifest has more than 4194304 bytes",
		},
		"an index":         {manifest: same, forge: func(f *forger) { f.kind = ocispec.MediaTypeImageIndex }, code: source.CodeNoPackage, words: "it is of type \"application/vnd.oci.image.index.v1+json\""},
		"of no kind":       {manifest: same, forge: func(f *forger) { f.kind = "" }, code: source.CodeNoPackage, words: `it is of type "application/octet-stream"`},
		"of a newer kind":  {manifest: same, forge: func(f *forger) { f.kind = "application/vnd.oci.image.manifest.v9+json" }, code: source.CodeNoPackage, words: "it is of type \"application/vnd.oci.image.manifest.v9+json\""},
		"no manifest":      {manifest: same, forge: func(f *forger) { f.manifest = []byte("<html>") }, code: source.CodeNoPackage, words: "its manifest is none"},
		"nothing":          {manifest: same, forge: func(f *forger) { f.manifest = nil }, code: source.CodeNoPackage, words: "its manifest is none"},
		"a null":           {manifest: same, forge: func(f *forger) { f.manifest = []byte("null") }, code: source.CodeNoPackage, words: "it has 0 layers, and a package is one"},
		"a size of 1e30":   {manifest: same, forge: func(f *forger) { f.manifest = []byte(`{"layers": [{"size": 1e30}]}`) }, code: source.CodeNoPackage, words: "its manifest is none"},
		"another manifest": {manifest: same, forge: func(f *forger) { f.named = describe([]byte("another")) }, code: source.CodeNoPackage, words: "its manifest is another one, with the digest sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForger(t, content, c.manifest)
			if c.forge != nil {
				c.forge(f)
			}
			ref := "oci://" + strings.TrimPrefix(f.URL, "http://") + "/shop@" + cmp.Or(f.named.Digest, describe(f.manifest).Digest).String()
			got, err := fetched(t, ref, source.Options{Pace: pace}, trust.Policy{})
			code, words := codeOf(err)
			if code != c.code || !strings.Contains(words, c.words) || strings.ContainsAny(words, "\n") || len(words) > 300 {
				t.Errorf("%s: %s", code, words)
			}
			if c.code == "" && !bytes.Equal(got, content) {
				t.Errorf("%d bytes, want %d", len(got), size)
			}
			if len(f.asked) != c.blobs {
				t.Errorf("asked for were %q", f.asked)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}

func manyLayers(l ocispec.Descriptor) []ocispec.Descriptor {
	layers := make([]ocispec.Descriptor, 10_000)
	for i := range layers {
		layers[i] = l
	}
	return layers
}
