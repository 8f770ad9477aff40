// Package trust tells who signed a package, and whether that is somebody who may. Signatures are minisign's; this
// is the only package that knows.
//
// A policy names public keys. Where it names any, every package needs a signature of one of them, and it is
// checked before anything of the package is unpacked. The keys are read for each package, so that a mounted secret
// can be rotated without a restart: for a while both keys are there, and either verifies.
package trust

import (
	"fmt"
	"io"
	"strings"

	"aead.dev/minisign"
)

const (
	// legacyBytes is what a package with a legacy signature may have: ed25519 wants all of it at once, and what
	// PID 1 holds is missing to the node.
	legacyBytes = 4 << 20
	// signatureBytes is more than minisign makes, whose comments have 1 and 8 KiB at most.
	signatureBytes = 16 << 10
)

// Suffix is that of a signature's file, behind the name of what it signs.
const Suffix = ".minisig"

// Code is a stable word for why a package is not trusted.
type Code string

// The codes of Error.
const (
	Unsigned        Code = "unsigned"         // a signature is needed, and there is none
	BadSignature    Code = "bad-signature"    // it cannot be read, or is not one of this package
	UnknownKey      Code = "unknown-key"      // made by a key that is not configured
	LegacySignature Code = "legacy-signature" // not of the hashed kind, and the package is big
	UnusableKeys    Code = "unusable-keys"    // the configured keys cannot be read
)

// Error says why a package is not trusted.
type Error struct {
	Code Code
	Hint string // the way out
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func distrust(code Code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// Signer is who signed a package; its zero value is nobody.
type Signer struct {
	Key     string // its id, 16 hex digits
	Comment string // that the signature covers too
}

func (s Signer) String() string {
	return fmt.Sprintf("signed by key %s, which says %q", s.Key, s.Comment)
}

// Policy is whose signatures count. Its zero value asks for none.
type Policy struct {
	Keys string // a file with a public key, or a directory of such files, *.pub
	// Volume is where keys are never taken from: the node can write there.
	Volume string
}

// Required tells whether a package needs a signature.
func (p Policy) Required() bool { return p.Keys != "" }

// Package is a package that is read, and whose signature is checked in passing.
type Package struct {
	read      io.Reader
	signed    *minisign.Reader // hashes what is read, unless the signature is a legacy one
	whole     []byte           // what was read, where it is
	legacy    bool
	text      []byte
	signature minisign.Signature
	keys      []minisign.PublicKey // those that the signature names; its id is a hint, and two may share it
}

// Open looks at the text of a signature, and returns the package for reading. Every refusal that does not need the
// package's bytes comes from here: nothing was read then. Errors are *Error.
func (p Policy) Open(pkg io.Reader, signature string) (*Package, error) {
	r := &Package{read: pkg, text: []byte(signature)}
	if !p.Required() {
		return r, nil
	}
	keys, err := p.load()
	if err != nil {
		return nil, distrust(UnusableKeys, "AGENT_PUBLIC_KEYS names a file with a minisign public key, or a directory of *.pub", "the keys that must have signed it cannot be used: %w", err)
	}
	if signature == "" {
		return nil, distrust(Unsigned, "minisign -S -m PACKAGE signs it; --signature names the file with the signature", "it has no signature, and needs one of key %s", names(keys))
	}
	if err := r.parse(signature); err != nil {
		return nil, err
	}
	if !r.legacy {
		r.signed = minisign.NewReader(pkg)
		r.read = r.signed
	}
	for _, key := range keys {
		if key.ID() == r.signature.KeyID {
			r.keys = append(r.keys, key)
		}
	}
	if len(r.keys) == 0 {
		return nil, distrust(UnknownKey, "sign it with a key that is trusted, or add the key's .pub to AGENT_PUBLIC_KEYS", "it is signed by key %s, and trusted is %s", name(r.signature.KeyID), names(keys))
	}
	return r, nil
}

func (r *Package) parse(text string) error {
	if len(text) > signatureBytes {
		return distrust(BadSignature, "", "its signature has more than %d bytes", signatureBytes)
	}
	if err := r.signature.UnmarshalText([]byte(text)); err != nil {
		return distrust(BadSignature, "it is the text of the .minisig file that minisign -S makes", "its signature cannot be read: %s", strings.TrimPrefix(err.Error(), "minisign: "))
	}
	r.legacy = r.signature.Algorithm == minisign.EdDSA
	return nil
}

// Read is that of the package itself. One that is too big for a legacy signature ends early, with an *Error.
func (r *Package) Read(p []byte) (int, error) {
	n, err := r.read.Read(p)
	if !r.legacy {
		return n, err
	}
	if len(r.whole)+n > legacyBytes {
		return n, distrust(LegacySignature, "minisign -S signs packages of any size, unless it is told -l; older versions need -H for it", "its signature is of the legacy kind, for which the package may have %d bytes at most", legacyBytes)
	}
	r.whole = append(r.whole, p[:n]...)
	return n, err
}

// Signer tells, once all was read, who signed it: nobody where no signature is needed. Its error is an *Error.
func (r *Package) Signer() (Signer, error) {
	for _, key := range r.keys {
		if r.verifies(key) {
			return Signer{Key: name(key.ID()), Comment: r.signature.TrustedComment}, nil
		}
	}
	if len(r.keys) == 0 {
		return Signer{}, nil
	}
	return Signer{}, distrust(BadSignature, "the package or its signature was changed, or they do not belong together", "it is not what key %s has signed", name(r.signature.KeyID))
}

// verifies checks the signature and the trusted comment. The kind is checked by ourselves: a Reader of the library
// would take a legacy signature for one of the digest.
func (r *Package) verifies(key minisign.PublicKey) bool {
	if r.legacy {
		return minisign.Verify(key, r.whole, r.text)
	}
	return r.signed.Verify(key, r.text)
}

// Unchecked tells that there is a signature, and nobody asked for it.
func (r *Package) Unchecked() bool { return len(r.text) > 0 && len(r.keys) == 0 }

// name is how minisign writes the id of a key.
func name(id uint64) string { return fmt.Sprintf("%016X", id) }

func names(keys []minisign.PublicKey) string {
	var all []string
	for _, key := range keys {
		all = append(all, name(key.ID()))
	}
	return strings.Join(all, " or ")
}
