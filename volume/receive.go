package volume

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const partSuffix = ".part"

// Package is a package that is kept on the volume.
type Package struct {
	Digest string // sha256 of its bytes, in hex
	Size   int64  // in bytes
}

// Receive keeps the bytes of r under their digest. progress, which may be nil, is told how many have come.
// It ends at the first read after ctx has ended.
func (v *Volume) Receive(ctx context.Context, r io.Reader, progress func(bytes int64)) (Package, error) {
	part := v.agentPath("packages", newID()+partSuffix)
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Package{}, fmt.Errorf("cannot keep the package: %w", err)
	}
	source := &meter{r: r, interrupted: ctx.Err, limit: v.Limits.PackageBytes, progress: progress}
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(f, sum), source, make([]byte, 256<<10))
	if err := closeSynced(f, err); err != nil {
		return Package{}, errors.Join(spaceError(err), os.Remove(part))
	}
	pkg := Package{Digest: hex.EncodeToString(sum.Sum(nil)), Size: source.n}
	if err := rename(part, v.packagePath(pkg.Digest)); err != nil {
		return Package{}, errors.Join(fmt.Errorf("cannot keep the package: %w", err), removeFile(part))
	}
	return pkg, nil
}

// Discard forgets a package, unless a release came from it.
func (v *Volume) Discard(pkg Package) error {
	v.work.Lock()
	defer v.work.Unlock()
	return v.dropPackage(pkg.Digest)
}

func (v *Volume) dropPackage(digest string) error {
	for _, r := range v.State().Releases {
		if r.Package == digest {
			return nil
		}
	}
	if err := removeFile(v.packagePath(digest)); err != nil {
		return fmt.Errorf("cannot discard the package: %w", err)
	}
	return nil
}

// spaceError gives a full disk its own code and words.
func spaceError(err error) error {
	if isFull(err) {
		return refuse(NoSpace, "the volume is full: %w", err)
	}
	return err
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// meter counts what is read, ends when it is interrupted, and holds to a limit.
type meter struct {
	r           io.Reader
	interrupted func() error
	n, limit    int64
	progress    func(int64)
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.interrupted(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.n += int64(n)
	if m.n > m.limit {
		return n, refuse(TooLarge, "the package is larger than %d bytes", m.limit)
	}
	if m.progress != nil && n > 0 {
		m.progress(m.n)
	}
	return n, err
}
