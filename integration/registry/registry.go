// Package registry runs a real registry of OCI artifacts, Debian's docker-registry, for tests that pull packages from one.
package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"theseus/integration/need"
)

// User and Password are who may use a registry that lets not everybody in.
const (
	User     = "carol"
	Password = "sesame"
	htpasswd = User + ":$2b$04$RgLSKiMaBJf9AMpz67vARepTYK/uhPeliN1PFsM8FTWLDHcs9G3YW\n"
)

// unknown is what oras push calls what it pushes, unless it is told.
const unknown = "application/vnd.unknown.artifact.v1"

const patience = 3 * time.Minute

// Registry is one that runs.
type Registry struct {
	T    *testing.T
	Host string // and port
	user string // who pushes
}

// Options say what a registry is like; the zero value lets everybody of this machine in.
type Options struct {
	Address string // to listen on; empty: loopback
	Login   bool   // of User is asked for
	Cert    string // file with its certificate, and the key in Key; empty: it speaks HTTP
	Key     string
}

// Start runs one until the test ends.
func Start(t *testing.T, o Options) *Registry {
	t.Helper()
	need.Tool(t, "docker-registry")
	r := &Registry{T: t}
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp:\n  addr: %s:0\n",
		filepath.Join(dir, "storage"), cmp.Or(o.Address, "127.0.0.1"))
	if o.Cert != "" {
		config += fmt.Sprintf("  tls: {certificate: %s, key: %s}\n", o.Cert, o.Key)
	}
	if o.Login {
		r.user = User
		r.write(filepath.Join(dir, "htpasswd"), htpasswd)
		config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", filepath.Join(dir, "htpasswd"))
	}
	r.write(filepath.Join(dir, "config.yml"), config)
	r.run(filepath.Join(dir, "config.yml"), filepath.Join(dir, "log"))
	return r
}

func (r *Registry) write(path, text string) {
	r.T.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.T.Fatal(err)
	}
}

// listening is what it says of the port that it was given.
var listening = regexp.MustCompile(`listening on ([^",]+)[",]`)

// run returns when it listens.
func (r *Registry) run(config, path string) {
	r.T.Helper()
	log, err := os.Create(path)
	if err != nil {
		r.T.Fatal(err)
	}
	defer log.Close()
	said := func() []byte { text, _ := os.ReadFile(path); return text }
	cmd := exec.CommandContext(context.WithoutCancel(r.T.Context()), "docker-registry", "serve", config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		r.T.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r.T.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if r.T.Failed() {
			r.T.Logf("the registry says:\n%s", said())
		}
	})
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-again.C {
		if found := listening.FindSubmatch(said()); found != nil {
			r.Host = string(found[1])
			return
		}
	}
	r.T.Fatal("the registry does not listen")
}

// Layer is what is pushed as one.
type Layer struct {
	Type    string
	Title   string
	Content []byte
}

// Push makes a manifest of layers, with a tag unless that is empty, and returns it. It may refer to another one, and be of a
// kind. Without a client it goes over HTTP.
func (r *Registry) Push(client *http.Client, repo, tag string, refers *ocispec.Descriptor, kind string, layers ...Layer) ocispec.Descriptor {
	r.T.Helper()
	target, err := remote.NewRepository(r.Host + "/" + repo)
	if err != nil {
		r.T.Fatal(err)
	}
	target.PlainHTTP = client == nil
	login := &auth.Client{Client: client, Cache: auth.NewCache()}
	if r.user != "" {
		login.Credential = auth.StaticCredential(r.Host, auth.Credential{Username: User, Password: Password})
	}
	target.Client = login
	desc, err := push(r.T.Context(), target, refers, kind, layers)
	if err == nil && tag != "" {
		err = target.Tag(r.T.Context(), desc, tag)
	}
	if err != nil {
		r.T.Fatalf("cannot push to the registry: %v", err)
	}
	return desc
}

func push(ctx context.Context, target *remote.Repository, refers *ocispec.Descriptor, kind string, layers []Layer) (desc ocispec.Descriptor, err error) {
	o := oras.PackManifestOptions{Subject: refers}
	for _, l := range layers {
		blob := content.NewDescriptorFromBytes(l.Type, l.Content)
		if l.Title != "" {
			blob.Annotations = map[string]string{ocispec.AnnotationTitle: l.Title}
		}
		err = errors.Join(err, target.Push(ctx, blob, io.NopCloser(bytes.NewReader(l.Content))))
		o.Layers = append(o.Layers, blob)
	}
	if err != nil {
		return desc, err
	}
	return oras.PackManifest(ctx, target, oras.PackManifestVersion1_1, cmp.Or(kind, unknown), o)
}
