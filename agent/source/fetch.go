package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"theseus/agent/api"
	"theseus/agent/trust"
	"theseus/volume"
)

// File is a package as a file of this machine, with the digest and the signature that it must have.
type File struct {
	Name   string // for messages
	Path   string
	SHA256 string // in hex
	Size   int64  // bytes
	Signer trust.Signer

	fetched bool
}

// Close takes the file away, unless it was one before.
func (f *File) Close() error {
	if !f.fetched {
		return nil
	}
	return os.Remove(f.Path)
}

// Fetch is for who reads a package more than once: a file stays where it is, anything else comes to TMPDIR. Either is read
// to its end, and is what it must be. Errors are *api.Error, *trust.Error, and *volume.PackageError of one beyond the limit.
func Fetch(ctx context.Context, ref string, o Options, policy trust.Policy, limits volume.Limits) (*File, error) {
	o.Signed = policy.Required()
	pkg, err := Open(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	defer pkg.Close()
	f := &File{Name: pkg.Name, Path: pkg.path}
	into := io.Discard
	if pkg.path == "" {
		file, err := os.CreateTemp("", "agent-*.tar.gz")
		if err != nil {
			return nil, f.unkept(err)
		}
		defer file.Close()
		f.Path, f.fetched, into = file.Name(), true, file
	}
	if err := f.read(ctx, pkg, into, policy, limits); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// read takes all of a package, and compares.
func (f *File) read(ctx context.Context, pkg *Package, into io.Writer, policy trust.Policy, limits volume.Limits) error {
	if pkg.Size > limits.PackageBytes {
		return limits.TooLarge()
	}
	signed, err := policy.Open(pkg, pkg.Signature)
	if err != nil {
		return err
	}
	sum := sha256.New()
	f.Size, err = io.Copy(io.MultiWriter(into, sum), io.LimitReader(untilDone{ctx, signed}, limits.PackageBytes+1))
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	switch distrust := (*trust.Error)(nil); {
	case pkg.Err() != nil:
		return pkg.Err()
	case errors.As(err, &distrust):
		return err
	case err != nil:
		return f.unkept(err)
	case f.Size > limits.PackageBytes:
		return limits.TooLarge()
	case pkg.SHA256 != "" && pkg.SHA256 != f.SHA256:
		return &api.Error{Code: CodeWrongDigest, Message: fmt.Sprintf("cannot use %s: its sha256 is %s, not %s", f.Name, f.SHA256, pkg.SHA256)}
	}
	f.Signer, err = signed.Signer()
	return err
}

func (f *File) unkept(err error) error {
	return noPackage("TMPDIR names a directory that can be written, with room for a package", "cannot keep %s: %v", f.Name, err)
}

// untilDone ends at the first read after its context has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
