package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"theseus/agent/api"
	"theseus/agent/trust"
)

// Types of what a registry has.
const (
	MediaType     = "application/vnd.theseus.release.v1.tar+gzip" // of a layer that is a package
	SignatureType = "application/vnd.theseus.minisig.v1"          // of what refers to it and has its signature
)

// packageTypes are what a layer may call a package, ours first; the last is what oras push writes unless it is told. None
// says more than that an archive is there, and that is looked at anyway.
var packageTypes = []string{
	MediaType, ocispec.MediaTypeImageLayerGzip, "application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/gzip", "application/x-gzip", "application/x-tar+gzip", ocispec.MediaTypeImageLayer,
}

// mostManifest is what registries take themselves, bytes.
const mostManifest = 4 << 20

// repository is one of a registry, and what is asked of it.
type repository struct {
	*remote.Repository
	name   string // of the package there
	effort *effort
}

// openRegistry takes the package that a manifest has as its layer. oci+http is for a registry without TLS, which one on
// this machine needs not be called.
func (o Options) openRegistry(ctx context.Context, ref string) (*Package, error) {
	name := Redact(ref)
	r, err := o.newRepository(ref, name)
	if err != nil {
		return nil, err
	}
	tag := r.Reference.ValidateReferenceAsDigest() != nil
	if tag {
		if err := o.protected(name); err != nil {
			return nil, err
		}
	}
	desc, manifest, err := r.manifest(ctx, r.Reference.Reference)
	if err != nil {
		return nil, err
	}
	layer, err := packageIn(manifest, name)
	if err != nil {
		return nil, err
	}
	if err := o.expect(layer.Digest.Encoded(), name); err != nil {
		return nil, err
	}
	signature, err := o.signatureIn(ctx, r, desc, manifest)
	if err != nil {
		return nil, err
	}
	blob := r.blob(layer)
	content, err := openStream(r.scope(ctx), blob, r.effort)
	if err != nil {
		return nil, err
	}
	return &Package{Name: name, Size: blob.size(), SHA256: o.SHA256, Signature: signature, content: content}, nil
}

func (o Options) newRepository(ref, name string) (*repository, error) {
	_, address, _ := strings.Cut(ref, "://")
	if user := strings.IndexByte(address, '@'); user >= 0 && !strings.HasPrefix(address[user:], "@sha256:") {
		return nil, noPackage("docker login, or a config.json that DOCKER_CONFIG leads to", "cannot read %s: who asks is not named in the reference", name)
	}
	repo, err := remote.NewRepository(address)
	switch {
	case err != nil || repo.Reference.Reference == "":
		return nil, noPackage("oci://HOST/REPO@sha256:HEX, or oci://HOST/REPO:TAG", "cannot read %s: it names no manifest of a registry", name)
	case o.Release != "":
		return nil, noPackage("", "cannot look for release %s in %s: it is no directory", o.Release, name)
	}
	u := &url.URL{Scheme: "https", Host: repo.Reference.Host()}
	if strings.HasPrefix(ref, "oci+http:") || isLoopback(u.Hostname()) {
		u.Scheme, repo.PlainHTTP = "http", true
	}
	login, err := logins(u)
	if err != nil {
		return nil, noPackage("", "cannot read docker's configuration: %v", err)
	}
	repo.Client = &auth.Client{Client: newClient(u), Credential: login, Cache: auth.NewCache()}
	repo.ReferrerListMaxPages = 4
	return &repository{Repository: repo, name: name, effort: o.effort(name)}, nil
}

// logins are docker's, with its credential helpers. They go nowhere where somebody could listen.
func logins(u *url.URL) (auth.CredentialFunc, error) {
	known := os.Getenv("HOME") != "" || os.Getenv("DOCKER_CONFIG") != ""
	if !known || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return nil, nil
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, err
	}
	return credentials.Credential(store), nil
}

// scope is what a token for a blob must allow.
func (r *repository) scope(ctx context.Context) context.Context {
	return auth.AppendRepositoryScope(ctx, r.Reference, auth.ActionPull)
}

// ask repeats a question to the registry while its answer is an error that passes.
func (r *repository) ask(ctx context.Context, act func(context.Context) error) error {
	return r.effort.do(ctx, func(ctx context.Context) error {
		err := act(ctx)
		var answer *errcode.ErrorResponse
		switch {
		case errors.As(err, &answer):
			return &statusError{status: answer.StatusCode}
		case errors.Is(err, auth.ErrBasicCredentialNotFound):
			return &statusError{status: http.StatusUnauthorized}
		case errors.Is(err, errdef.ErrNotFound):
			return &statusError{status: http.StatusNotFound}
		}
		return err
	})
}

// manifestTypes are asked for. A list of manifests is none of a package, but is to be called so.
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	manifestTypes  = ocispec.MediaTypeImageManifest + ", " + dockerManifest + ", " + ocispec.MediaTypeImageIndex +
		", application/vnd.docker.distribution.manifest.list.v2+json"
)

// manifest reads one, and makes sure that it has the digest that it is known by.
func (r *repository) manifest(ctx context.Context, reference string) (desc ocispec.Descriptor, m ocispec.Manifest, err error) {
	ref, err := r.ParseReference(reference)
	if err != nil {
		return desc, m, noPackage("", "cannot read %s: %q is neither a tag nor a digest", r.name, reference)
	}
	var kind string
	var text []byte
	err = r.ask(r.scope(ctx), func(ctx context.Context) (err error) {
		kind, text, err = r.manifestText(ctx, reference)
		return err
	})
	if err != nil {
		return desc, m, err
	}
	desc = content.NewDescriptorFromBytes(kind, text)
	switch want, err := ref.Digest(); {
	case desc.Size > mostManifest:
		return desc, m, noPackage("", "cannot read %s: its manifest has more than %d bytes", r.name, mostManifest)
	case err == nil && want.Algorithm().FromBytes(text) != want:
		return desc, m, noPackage("", "cannot read %s: its manifest is another one, with the digest %s", r.name, desc.Digest)
	case desc.MediaType != ocispec.MediaTypeImageManifest && desc.MediaType != dockerManifest:
		return desc, m, noPackage("name the manifest of one package", "cannot read %s: it is of type %q", r.name, desc.MediaType)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return desc, m, noPackage("", "cannot read %s: its manifest is none: %v", r.name, err)
	}
	return desc, m, nil
}

// manifestText is what the registry answers, and of which type it says that it is. One that is too large has a byte too many.
func (r *repository) manifestText(ctx context.Context, reference string) (kind string, text []byte, err error) {
	at := r.document("manifests/" + reference)
	at.header.Set("Accept", manifestTypes)
	resp, err := at.get(ctx, 0)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", nil, refusal(resp)
	}
	kind, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if text, err = io.ReadAll(io.LimitReader(resp.Body, mostManifest+1)); err != nil {
		err = &brokenError{err}
	}
	return kind, text, err
}

// packageIn is the one layer that is a package.
func packageIn(m ocispec.Manifest, name string) (ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	for _, layer := range m.Layers {
		if !isSignature(layer) {
			found = append(found, layer)
		}
	}
	switch {
	case len(found) != 1:
		return ocispec.Descriptor{}, noPackage("oras push HOST/REPO:TAG PACKAGE makes one of a package", "cannot read %s: it has %d layers, and a package is one", name, len(found))
	case found[0].Digest.Validate() != nil || found[0].Digest.Algorithm() != "sha256":
		return ocispec.Descriptor{}, noPackage("", "cannot read %s: its layer has no sha256", name)
	case found[0].Size <= 0:
		return ocispec.Descriptor{}, noPackage("", "cannot read %s: its layer has %d bytes, says its manifest", name, found[0].Size)
	}
	for _, known := range packageTypes {
		if found[0].MediaType == known {
			return found[0], nil
		}
	}
	return ocispec.Descriptor{}, noPackage("a package is of type "+MediaType, "cannot read %s: its layer is of type %q", name, found[0].MediaType)
}

// isSignature is true of a layer that oras push made of a .minisig beside the package.
func isSignature(layer ocispec.Descriptor) bool {
	return layer.MediaType == SignatureType || path.Ext(layer.Annotations[ocispec.AnnotationTitle]) == trust.Suffix
}

// signatureIn is a layer of the manifest, else of one that refers to it.
func (o Options) signatureIn(ctx context.Context, r *repository, desc ocispec.Descriptor, m ocispec.Manifest) (string, error) {
	if o.Signature != "" || !o.Signed {
		return findSignature("", o.Signature)
	}
	for _, layer := range m.Layers {
		if isSignature(layer) {
			return r.text(ctx, layer)
		}
	}
	var referrers []ocispec.Descriptor
	err := r.ask(ctx, func(ctx context.Context) (err error) {
		referrers, err = registry.Referrers(ctx, r.Repository, desc, SignatureType)
		return err
	})
	if err != nil || len(referrers) == 0 {
		return "", err
	}
	_, signed, err := r.manifest(ctx, referrers[len(referrers)-1].Digest.String())
	if err != nil {
		return "", err
	}
	if len(signed.Layers) != 1 {
		return "", &api.Error{Code: CodeNoSignature, Message: fmt.Sprintf("cannot read the signature of %s: it has %d layers", r.name, len(signed.Layers)), State: unchanged}
	}
	return r.text(ctx, signed.Layers[0])
}

// text is a small blob.
func (r *repository) text(ctx context.Context, layer ocispec.Descriptor) (text string, err error) {
	err = r.ask(r.scope(ctx), func(ctx context.Context) (err error) {
		body, _, err := r.blob(layer).open(ctx, 0)
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = trust.ReadSignatureFrom(body)
		return err
	})
	return text, err
}

// blob is a document that has as many bytes as its manifest says.
func (r *repository) blob(layer ocispec.Descriptor) *document {
	d := r.document("blobs/" + layer.Digest.String())
	d.promised = layer.Size
	return d
}

// document is one like any other, but for who lets it be read.
func (r *repository) document(path string) *document {
	u := url.URL{Scheme: "https", Host: r.Reference.Host(), Path: "/v2/" + r.Reference.Repository + "/" + path}
	if r.PlainHTTP {
		u.Scheme = "http"
	}
	return &document{do: r.Client.Do, url: u.String(), header: http.Header{}}
}
