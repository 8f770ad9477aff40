package volume

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const partSuffix = ".part"

// Package is a package that is kept on the volume.
type Package struct {
	Digest string // sha256 of its bytes, in hex
	Size   int64  // in bytes
}

// Receive keeps the bytes of r under their digest. progress, which may be nil, is told how many have come.
// It ends at the first read after ctx has ended. Bytes and name are durable when a release is recorded that came from
// them, and count for nothing before; where they take the place of those that are kept already, they are so before that.
func (v *Volume) Receive(ctx context.Context, r io.Reader, progress func(bytes int64)) (Package, error) {
	v.coming.RLock()
	defer v.coming.RUnlock()
	s := v.step("keep the package")
	part := v.agentPath("packages", v.newID()+partSuffix)
	f, err := s.Create(s.name, part, 0o600)
	if err != nil {
		return Package{}, v.keepError(err)
	}
	source := &meter{r: r, interrupted: ctx.Err, limit: v.Limits.PackageBytes, progress: progress}
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(f, sum), source, make([]byte, v.buffer))
	pkg := Package{Digest: hex.EncodeToString(sum.Sum(nil)), Size: source.n.Load()}
	end := closeUnsynced
	if _, missing := v.disk.Lstat(v.packagePath(pkg.Digest)); missing == nil {
		end = closeSynced
	}
	if err := end(f, err); err != nil {
		return Package{}, errors.Join(v.keepError(err), s.removeFile(part))
	}
	if err := s.Rename(s.name, part, v.packagePath(pkg.Digest)); err != nil { // which does not say that it was not done
		return Package{}, errors.Join(v.keepError(err), s.removeFile(part), v.Discard(pkg))
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
	if err := v.step("drop the package").removeFile(v.packagePath(digest)); err != nil {
		return fmt.Errorf("cannot discard the package: %w", err)
	}
	return nil
}

// keepError leaves a refusal as it is.
func (v *Volume) keepError(err error) error {
	err = v.spaceError(err)
	if _, refused := errors.AsType[*PackageError](err); refused {
		return err
	}
	return fmt.Errorf("cannot keep the package: %w", err)
}

// spaceError gives a full disk its own code and words.
func (v *Volume) spaceError(err error) error {
	if !isFull(err) {
		return err
	}
	if free, statErr := v.disk.Free(v.root); statErr == nil && free.files == 0 {
		return refuse(NoSpace, "the volume is full: it can hold no more files: %w", err)
	}
	return refuse(NoSpace, "the volume is full: %w", err)
}

func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// meter counts what is read, ends when it is interrupted, and holds to a limit.
type meter struct {
	r           io.Reader
	interrupted func() error
	n           atomic.Int64
	limit       int64
	progress    func(int64)
}

func (m *meter) Read(p []byte) (int, error) {
	if err := m.interrupted(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	read := m.n.Add(int64(n))
	if read > m.limit {
		return n, Limits{PackageBytes: m.limit}.TooLarge()
	}
	if m.progress != nil && n > 0 {
		m.progress(read)
	}
	return n, err
}
