package volume

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/readahead"
)

// unpacker writes the entries of an archive below a directory that it cannot leave, and hashes them on the
// way. It refuses what it does not need rather than making it harmless.
type unpacker struct {
	limits   Limits
	dir      inside // nil: nothing is written
	source   *meter // the compressed bytes
	inflated *inflated
	buf      []byte
	sum      hash.Hash
	present  map[string]bool // trees of which nothing is written, because the volume has them
	lean     bool            // nothing but releases/ is written
	names    map[string]int  // what was seen, and the directories above it: where in entries, aDirectory or noEntry
	entries  []entry
	links    []entry // made last, so that nothing is ever written through one
	skipped  map[string]bool
	code     code
	needed   int64 // bytes that are written, or would be were they not left out for being lean, or without a directory
	seen     int
	text     int64 // bytes of all names and targets
	last     string
}

// buffersAhead are decompressed while those before them are hashed and written.
const buffersAhead = 4

// unpack reads the whole package, to the last byte of its gzip stream: five kinds of damage show only there.
// It returns the digest of what it has read.
func (u *unpacker) unpack(ctx context.Context, r io.Reader, size int64, progress func(done, total int64)) (string, error) {
	digest := sha256.New()
	u.source = &meter{r: io.TeeReader(r, digest), interrupted: ctx.Err, limit: u.limits.PackageBytes}
	if progress != nil {
		u.source.progress = func(done int64) { progress(done, size) }
	}
	stream := bufio.NewReaderSize(u.source, len(u.buf))
	magic, _ := stream.Peek(512)
	unzipped, err := gzip.NewReader(stream)
	if err != nil {
		return "", notGzip(magic, err)
	}
	unzipped.Multistream(false)
	ahead, err := readahead.NewReaderSize(unzipped, buffersAhead, len(u.buf))
	if err != nil {
		return "", err
	}
	defer ahead.Close()
	if err := u.readTar(ahead); err != nil {
		return "", u.archiveError(err)
	}
	if _, err := stream.ReadByte(); !errors.Is(err, io.EOF) {
		return "", refuse(Damaged, "the package is damaged: something follows the end of its gzip stream")
	}
	if err := u.makeLinks(); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// readTar reads what comes out of the gzip stream, to its end.
func (u *unpacker) readTar(r io.Reader) error {
	u.inflated = &inflated{r: r, source: u.source, limits: u.limits}
	if err := u.readEntries(tar.NewReader(u.inflated)); err != nil {
		return err
	}
	return u.readEnd()
}

// inflated is what comes out of the gzip stream, headers and padding included, within the limits.
type inflated struct {
	r      io.Reader
	source *meter
	limits Limits
	n      int64
	ended  bool // somebody wanted more than there is
}

func (i *inflated) Read(p []byte) (int, error) {
	n, err := i.r.Read(p)
	i.n += int64(n)
	i.ended = n < len(p) && errors.Is(err, io.EOF)
	if i.n > i.limits.UnpackedBytes {
		return n, i.limits.unpacksTooLarge()
	}
	if i.n > freeRatioBytes && i.n/i.limits.Ratio > i.source.n.Load() {
		return n, refuse(TooLarge, "the package unpacks to more than %d times its size", i.limits.Ratio)
	}
	return n, err
}

func notGzip(magic []byte, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return refuse(NotAPackage, "the package is empty")
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.HasPrefix(magic, []byte(gzipMagic)):
		return truncated()
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, gzip.ErrHeader):
		return refuse(NotAPackage, "not a tarball: it is %s", kindOf(magic))
	}
	return err
}

const gzipMagic = "\x1f\x8b"

// kindOf names what people take for a package.
func kindOf(magic []byte) string {
	for prefix, kind := range map[string]string{
		gzipMagic: "compressed with gzip, whose header cannot be read", "\x28\xb5\x2f\xfd": "compressed with zstd, not gzip",
		"\xfd7zXZ\x00": "compressed with xz, not gzip", "BZh": "compressed with bzip2, not gzip", "PK\x03\x04": "a zip archive",
	} {
		if bytes.HasPrefix(magic, []byte(prefix)) {
			return kind
		}
	}
	if len(magic) > 262 && string(magic[257:262]) == "ustar" {
		return "a tar archive, but not compressed with gzip"
	}
	return "not compressed with gzip"
}

func truncated() error {
	return refuse(Truncated, "the package ends too early: it was not copied completely")
}

// archiveError finds the words for what the readers of gzip and tar say.
func (u *unpacker) archiveError(err error) error {
	var refusal *PackageError
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF) && !u.inflated.ended:
		return truncated()
	case errors.Is(err, io.ErrUnexpectedEOF) && u.seen == 0, errors.Is(err, tar.ErrHeader) && u.seen == 0:
		return refuse(NotAPackage, "not a tarball: it does not begin with a header of a tar archive")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return u.noEnd()
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return refuse(Damaged, "the package is damaged: %w", err)
	case errors.Is(err, tar.ErrFieldTooLong):
		return refuse(TooLarge, "a header of the package's tar archive is too large, behind %.200q", u.last)
	case errors.Is(err, tar.ErrHeader):
		return refuse(Damaged, "the package is damaged: a header of its tar archive cannot be read, behind %.200q", u.last)
	}
	return err
}

func (u *unpacker) noEnd() error {
	return refuse(Truncated, "the package ends too early: its tar archive has no end, behind %.200q", u.last)
}

// readEnd makes sure that the tar archive has its end, and nothing but padding follows that.
func (u *unpacker) readEnd() error {
	if u.inflated.ended {
		return u.noEnd()
	}
	for {
		n, err := u.inflated.Read(u.buf)
		if len(bytes.TrimLeft(u.buf[:n], "\x00")) > 0 {
			return refuse(Damaged, "the package is damaged: something follows the end of its tar archive")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacker) readEntries(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && u.seen == 0:
			return refuse(NotAPackage, "the package holds no files")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err
		}
		if u.seen++; u.seen > u.limits.Entries {
			return u.tooMany()
		}
		if u.text += int64(len(h.Name) + len(h.Linkname)); u.text > u.limits.NamesBytes {
			return refuse(TooLarge, "the names in the package have more than %d bytes together", u.limits.NamesBytes)
		}
		if err := u.readEntry(h, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) tooMany() error {
	return refuse(TooLarge, "the package holds more than %d files and directories", u.limits.Entries)
}

func (u *unpacker) readEntry(h *tar.Header, content io.Reader) error {
	if err := checkType(h); err != nil {
		return err
	}
	name, err := u.checkName(h)
	if err != nil || name == "." {
		return err
	}
	u.last = name
	if !u.wanted(name, h.Typeflag) {
		return u.leaveOut(name, h.Typeflag)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.makeDirs(name)
	case tar.TypeSymlink:
		return u.addLink(name, strings.Clone(h.Linkname))
	case tar.TypeLink:
		return u.addHardLink(name, h.Linkname)
	}
	return u.addFile(name, h.FileInfo().Mode(), content)
}

// leaveOut makes sure that what is not wanted would not be in the way of what is.
func (u *unpacker) leaveOut(name string, kind byte) error {
	top, _, _ := strings.Cut(name, "/")
	if kind == tar.TypeDir || top != libDir && top != releaseDir && !strings.HasPrefix(top, ertsPrefix) {
		return nil
	}
	if kind == tar.TypeSymlink || name == top {
		return refuse(UnsafeEntry, "the package holds %q, which is no directory: it must bring what it needs, not link to it", name)
	}
	return u.take(name, noEntry)
}

const ertsPrefix = "erts-"

// wanted tells what belongs on the volume, or may (placeMix). The records that relx and mix put into a package would overwrite
// the volume's own.
func (u *unpacker) wanted(name string, kind byte) bool {
	top, rest, _ := strings.Cut(name, "/")
	inDir := strings.Contains(rest, "/") || rest != "" && kind == tar.TypeDir
	switch {
	case rest == "" && kind == tar.TypeDir:
		return false // made when something is put into it
	case rest != "" && strings.HasPrefix(top, ertsPrefix), top == libDir && inDir:
		return true
	case top == releaseDir && inDir:
		return path.Base(name) != manifestName
	case top == releaseDir && strings.HasSuffix(rest, ".rel"):
		return kind == tar.TypeReg
	case name == cookieFile, top == binDir && !strings.Contains(rest, "/"):
		return kind == tar.TypeReg
	}
	if top != binDir && !isRecord(name) {
		u.skipped[top] = true
	}
	return false
}

func isRecord(name string) bool {
	return name == "releases/RELEASES" || name == "releases/start_erl.data" || name == cookieFile
}
