package source

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"theseus/agent/trust"
)

// openWeb is for http and https.
func (o Options) openWeb(ctx context.Context, ref string) (*Package, error) {
	u, err := url.Parse(ref)
	if err != nil || u.Host == "" {
		return nil, noPackage("", "cannot read %s: it is no URL", Redact(ref))
	}
	name := Redact(ref)
	if err := o.readFragment(u.Fragment, name); err != nil {
		return nil, err
	}
	if o.Release != "" {
		return nil, noPackage("", "cannot look for release %s in %s: it is no directory", o.Release, name)
	}
	if err := o.protected(name); err != nil {
		return nil, err
	}
	doc := newDocument(u)
	signature, err := o.signatureBeside(ctx, doc, name)
	if err != nil {
		return nil, err
	}
	content, err := openStream(ctx, doc, o.effort(name))
	if err != nil {
		return nil, err
	}
	return &Package{Name: name, Size: doc.size(), SHA256: o.SHA256, Signature: signature, content: content}, nil
}

// readFragment takes the digest from behind a URL.
func (o *Options) readFragment(fragment, name string) error {
	if fragment == "" {
		return nil
	}
	kind, digest, _ := strings.Cut(fragment, "=")
	digest = strings.ToLower(digest)
	if raw, err := hex.DecodeString(digest); kind != "sha256" || err != nil || len(raw) != 32 {
		return noPackage("URL#sha256=HEX, with 64 digits", "cannot read %s: what follows the # is no digest", name)
	}
	return o.expect(digest, name)
}

// signatureBeside is what is at the address of the package and .minisig, where it is asked for and nobody has named one.
func (o Options) signatureBeside(ctx context.Context, doc *document, name string) (text string, err error) {
	if o.Signature != "" || !o.Signed {
		return findSignature("", o.Signature)
	}
	beside := doc.beside(trust.Suffix)
	err = o.effort(name+trust.Suffix).do(ctx, func(ctx context.Context) (err error) {
		text, err = beside.text(ctx)
		return err
	})
	return text, err
}

// document is one address of a web server.
type document struct {
	do     func(*http.Request) (*http.Response, error)
	url    string
	header http.Header

	promised  int64  // by what led here, or nothing
	length    int64  // of what came first; 0: the server does not say
	validator string // likewise: an ETag, or a time
}

func newDocument(u *url.URL) *document {
	at := *u
	at.User, at.Fragment, at.RawFragment = nil, "", ""
	d := &document{do: newClient(u).Do, url: at.String(), header: http.Header{}}
	if user := userOf(u); user != nil {
		password, _ := user.Password()
		r := http.Request{Header: d.header}
		r.SetBasicAuth(user.Username(), password)
	}
	return d
}

// beside is the same address with something behind its path.
func (d *document) beside(suffix string) *document {
	address, query, asked := strings.Cut(d.url, "?")
	if asked {
		query = "?" + query
	}
	return &document{do: d.do, url: address + suffix + query, header: d.header}
}

func (d *document) size() int64 { return d.length }

func (d *document) get(ctx context.Context, offset int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header = d.header.Clone()
	r.Header.Set("Accept-Encoding", "identity") // a package is the file as it lies there
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if d.validator != "" {
			r.Header.Set("If-Range", d.validator)
		}
	}
	return d.do(r)
}

// open asks for what is behind the offset. A server that does not know of ranges sends all of it.
func (d *document) open(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	resp, err := d.get(ctx, offset)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		err = d.isWhole(resp, offset)
		offset = 0
	case resp.StatusCode == http.StatusPartialContent && offset > 0:
		err = d.isRest(resp, offset)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		err = d.changed("it ends after %d of %d bytes", offset, d.length)
	default:
		err = refusal(resp)
	}
	if err != nil {
		resp.Body.Close()
		return nil, 0, err
	}
	return resp.Body, offset, nil
}

// isWhole notes what comes first, and compares what comes again with it.
func (d *document) isWhole(resp *http.Response, offset int64) error {
	length, validator := cmp.Or(max(resp.ContentLength, 0), d.promised), validatorOf(resp)
	if d.promised > 0 && length != d.promised {
		return fmt.Errorf("it has %d bytes, and %d says its manifest", length, d.promised)
	}
	if offset == 0 {
		d.length, d.validator = length, validator
		return nil
	}
	if length != d.length || validator != d.validator {
		return d.changed("it has changed since %d bytes of it came", offset)
	}
	return nil
}

// isRest compares a part with what was asked for: bytes FIRST-LAST/LENGTH.
func (d *document) isRest(resp *http.Response, offset int64) error {
	part, length, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "/")
	first, _, _ := strings.Cut(part, "-")
	switch {
	case first != strconv.FormatInt(offset, 10):
		return d.changed("asked for what follows %d bytes it answers with %q", offset, resp.Header.Get("Content-Range"))
	case length != "*" && d.length > 0 && length != strconv.FormatInt(d.length, 10), validatorOf(resp) != d.validator:
		return d.changed("it has changed since %d bytes of it came", offset)
	}
	return nil
}

func (d *document) changed(format string, args ...any) error {
	u, _ := url.Parse(d.url) // which it was made from
	return lost("ask for it once more", "cannot read %s: %s", Redact(u.String()), fmt.Sprintf(format, args...))
}

// validatorOf is what tells one content from another: a tag that stands for all of its bytes, else the time.
func validatorOf(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		return tag
	}
	return resp.Header.Get("Last-Modified")
}

// text is that of a small document, empty where there is none. Some stores answer 403 for what they do not have.
func (d *document) text(ctx context.Context) (string, error) {
	resp, err := d.get(ctx, 0)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return trust.ReadSignatureFrom(resp.Body)
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden:
		return "", nil
	}
	return "", refusal(resp)
}

// refusal is an answer that is none.
func refusal(resp *http.Response) error {
	return &statusError{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
}

// retryAfter reads seconds, or a time.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<20)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0).Round(time.Second)
	}
	return 0
}
