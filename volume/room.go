package volume

import (
	"context"
	"encoding/binary"
	"io"
)

// checkSpace refuses a package for which the volume has no room, before anything of it is written. How much comes out of it
// gzip says, of the last four gigabytes. Where that is more than is free, the package is read for what would be written: neither is what
// the volume has, nor what has no place there. How many files there are is not known then.
func (s *Staged) checkSpace(ctx context.Context, pkg io.ReadSeeker) error {
	unpacked, err := unpackedSize(pkg)
	if err != nil || s.volume.bench {
		return err
	}
	free, err := s.volume.disk.Free(s.volume.root)
	switch {
	case err != nil:
		return err
	case unpacked <= free.bytes:
		return free.holds(0)
	}
	u := s.unpacker(nil)
	if err := s.read(ctx, u, pkg, nil); err != nil {
		return err
	}
	if _, err := pkg.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return free.holds(u.needed)
}

// unpackedSize is what gzip says at the end of the package, which may be anything where that is none, or is cut.
func unpackedSize(pkg io.ReadSeeker) (int64, error) {
	var size [4]byte
	switch end, err := pkg.Seek(0, io.SeekEnd); {
	case err != nil:
		return 0, err
	case end == 0:
		return 0, refuse(NotAPackage, "the package is empty")
	case end < int64(len(size)):
		return 0, refuse(NotAPackage, "not a tarball: it has %d bytes", end)
	}
	if _, err := pkg.Seek(-int64(len(size)), io.SeekEnd); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(pkg, size[:]); err != nil {
		return 0, err
	}
	_, err := pkg.Seek(0, io.SeekStart)
	return int64(binary.LittleEndian.Uint32(size[:])), err
}

// hasRoom is what checkSpace will say, where needed has the package as well, which is kept before that.
func (v *Volume) hasRoom(needed int64) error {
	if v.root == "" {
		return nil
	}
	free, err := v.disk.Free(v.root)
	if err != nil {
		return err
	}
	return free.holds(needed)
}

func (s space) holds(needed int64) error {
	switch {
	case s.files == 0:
		return refuse(NoSpace, "the volume can hold no more files")
	case needed > s.bytes:
		return refuse(NoSpace, "the volume has %d bytes free, the release needs %d", s.bytes, needed)
	}
	return nil
}
