// Package source finds a package wherever its reference leads: a file, a directory, standard input, a web server, a
// registry. It is the client's alone: PID 1 fetches nothing, and is sent what comes from here as it comes. Whatever
// the source, the same step of the agent receives and verifies it, so that one that dies midway leaves nothing.
//
//	FILE · DIRECTORY · - · http(s)://HOST/PATH[#sha256=HEX] · oci://HOST/REPO@sha256:HEX · oci://HOST/REPO:TAG
//	NAME://REFERENCE, which the image's plugin NAME fetches
//
// What comes over a network may be anything: it needs a digest that who asks has named, or a signature.
package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"

	"theseus/agent/api"
)

// Codes of the errors, which are *api.Error.
const (
	CodeNoPackage   = "no-package"   // there is none, or it cannot be read
	CodeNoSignature = "no-signature" // the signature that was named cannot be read
	CodeUnprotected = "unprotected"  // it would come over a network, and neither digest nor signature says that it is the right one
	CodeLost        = "source-lost"  // the source does not answer, or ended, stalled or changed while it was read
	CodeWrongDigest = "wrong-digest" // it is another package than the one that was named
)

// Options say what is expected of a package.
type Options struct {
	Release   string // of several packages in a directory, the one with this version in its name
	SHA256    string // that it must have, in hex; empty where only the reference says that, or nobody
	Signature string // a file with its minisign signature, or the text of one; empty: what is beside the package
	Signed    bool   // whoever gets it asks for a signature
	Look      bool   // nothing of it is run, so that it needs neither digest nor signature
	Stdin     io.Reader
	Retried   func(message string) // is told why a source is asked once more; may be nil
	Plugins   Plugins

	Pace Pace // zero: DefaultPace
}

// Package is one that is read.
type Package struct {
	Name      string // for messages: without what must not be in a log
	Size      int64  // bytes, or 0 where that is not known
	SHA256    string // that it must have, in hex; empty: nobody has said
	Signature string // the text of its .minisig; empty: none was found

	path    string // where it is a file
	content io.ReadCloser
	lost    atomic.Pointer[error]
}

// Read is that of the content.
func (p *Package) Read(b []byte) (int, error) {
	n, err := p.content.Read(b)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if told := (*api.Error)(nil); !errors.As(err, &told) {
		err = lost("", "cannot read %s: %v", p.Name, err)
	}
	p.lost.Store(&err)
	return n, err
}

// Err is why it could not be read to its end, or nil. Who sends a package hears of that as a broken connection only.
func (p *Package) Err() error {
	if err := p.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// Close ends the reading.
func (p *Package) Close() error { return p.content.Close() }

// schemeOf is empty for what is a file, or a directory, or -.
func schemeOf(ref string) string {
	scheme, _, found := strings.Cut(ref, "://")
	if !found || !nameForm.MatchString(scheme) {
		return ""
	}
	return scheme
}

// IsRemote says whether a package comes over a network.
func IsRemote(ref string) bool { return schemeOf(ref) != "" }

// Redact is a reference as it may be shown: users, passwords and the tokens of a query are not in it.
func Redact(ref string) string {
	if !IsRemote(ref) {
		return ref
	}
	u, err := url.Parse(ref)
	if err != nil {
		return schemeOf(ref) + "://…"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Open finds a package, and returns when its first byte is there. Errors are *api.Error.
func Open(ctx context.Context, ref string, o Options) (*Package, error) {
	o.SHA256 = strings.ToLower(o.SHA256)
	if o.Pace == (Pace{}) {
		o.Pace = DefaultPace
	}
	switch schemeOf(ref) {
	case "":
		return o.openLocal(ref)
	case "http", "https":
		return o.openWeb(ctx, ref)
	case "oci", "oci+http":
		return o.openRegistry(ctx, ref)
	}
	return o.openPlugin(ctx, ref)
}

// expect notes a digest that the reference has.
func (o *Options) expect(digest, of string) error {
	if o.SHA256 != "" && o.SHA256 != digest {
		return &api.Error{
			Code: CodeWrongDigest, Message: fmt.Sprintf("cannot use %s: its sha256 is %s, not %s", of, digest, o.SHA256), State: unchanged,
		}
	}
	o.SHA256 = digest
	return nil
}

// protected holds to what has to be known of a package before a network is asked for it.
func (o *Options) protected(name string) error {
	if o.Look || o.Signed || o.SHA256 != "" {
		return nil
	}
	return &api.Error{
		Code: CodeUnprotected, Message: fmt.Sprintf("cannot use %s: nothing says that what comes from there is what was meant", name), State: unchanged,
		Hint: "URL#sha256=HEX and oci://HOST/REPO@sha256:HEX name its digest; or let the agent ask for signatures (AGENT_PUBLIC_KEYS)",
	}
}

// unchanged is true of every error here: the agent takes nothing that has not come whole.
const unchanged = "nothing was changed"

func noPackage(hint, format string, args ...any) *api.Error {
	return &api.Error{Code: CodeNoPackage, Message: fmt.Sprintf(format, args...), Hint: hint, State: unchanged}
}

func lost(hint, format string, args ...any) *api.Error {
	return &api.Error{Code: CodeLost, Message: fmt.Sprintf(format, args...), Hint: hint, State: unchanged}
}
