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
	"io/fs"
	"path"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/readahead"
)

// unpacker writes the entries of an archive below a directory that it cannot leave, and hashes them on the
// way. It refuses what it does not need rather than making it harmless.
type unpacker struct {
	limits  Limits
	dir     inside
	source  *meter // the compressed bytes
	buf     []byte
	sum     hash.Hash
	present map[string]bool // trees of which nothing is written, because the volume has them
	lean    bool            // nothing but releases/ is written
	names   map[string]bool // what was seen; true is a directory
	entries []entry
	links   []entry // made last, so that nothing is ever written through one
	skipped map[string]bool
	seen    int
	bytes   int64
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
	unzipped, err := gzip.NewReader(stream)
	if err != nil {
		return "", notGzip(err)
	}
	unzipped.Multistream(false)
	ahead, err := readahead.NewReaderSize(unzipped, buffersAhead, len(u.buf))
	if err != nil {
		return "", err
	}
	defer ahead.Close()
	if err := u.readEntries(tar.NewReader(ahead)); err != nil {
		return "", archiveError(err)
	}
	if err := readEnd(ahead, stream); err != nil {
		return "", archiveError(err)
	}
	if err := u.makeLinks(); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func notGzip(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return refuse(NotAPackage, "the package is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(Truncated, "the package ends too early: it was not copied completely")
	case errors.Is(err, gzip.ErrHeader):
		return refuse(NotAPackage, "not a tarball: it is not compressed with gzip")
	}
	return err
}

// archiveError finds the words for what the readers of gzip and tar say.
func archiveError(err error) error {
	var refusal *PackageError
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &refusal):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse(Truncated, "the package ends too early: it was not copied completely")
	case errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return refuse(Damaged, "the package is damaged: %w", err)
	case errors.Is(err, tar.ErrHeader):
		return refuse(NotAPackage, "not a tarball: %w", err)
	}
	return err
}

// readEnd makes sure that nothing but padding follows the last entry, and nothing at all the gzip stream.
func readEnd(unzipped io.Reader, stream *bufio.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := unzipped.Read(buf)
		if len(bytes.TrimLeft(buf[:n], "\x00")) > 0 {
			return refuse(Damaged, "the package is damaged: something follows the end of its tar archive")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := stream.ReadByte(); !errors.Is(err, io.EOF) {
		return refuse(Damaged, "the package is damaged: something follows the end of its gzip stream")
	}
	return nil
}

func (u *unpacker) readEntries(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return u.checkNotEmpty()
		case errors.Is(err, tar.ErrInsecurePath):
			return refuse(UnsafePath, "unsafe name in the package: %q", h.Name)
		case err != nil:
			return err
		}
		if u.seen++; u.seen > u.limits.Entries {
			return refuse(TooLarge, "the package holds more than %d files", u.limits.Entries)
		}
		if err := u.readEntry(h, archive); err != nil {
			return err
		}
	}
}

func (u *unpacker) checkNotEmpty() error {
	if u.seen == 0 {
		return refuse(NotAPackage, "the package holds no files")
	}
	return nil
}

func (u *unpacker) readEntry(h *tar.Header, content io.Reader) error {
	name, err := u.checkName(h.Name)
	if err != nil || name == "." {
		return err
	}
	if err := checkType(h); err != nil {
		return err
	}
	if !u.wanted(name, h.Typeflag) {
		_, err := u.copy(io.Discard, content)
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.makeDirs(name)
	case tar.TypeSymlink:
		return u.addLink(name, h.Linkname)
	}
	return u.addFile(name, h.FileInfo().Mode(), content)
}

// checkName returns the clean form of a name, or refuses it.
func (u *unpacker) checkName(name string) (string, error) {
	clean := strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	if clean == "" {
		clean = "."
	}
	switch {
	case !fs.ValidPath(clean), strings.ContainsFunc(clean, isControl):
		return "", refuse(UnsafePath, "unsafe name in the package: %.200q", name)
	case len(clean) > u.limits.NameBytes:
		return "", nameTooLong(name)
	case strings.Count(clean, "/") >= u.limits.Depth:
		return "", refuse(UnsafePath, "a name in the package has more than %d components: %.200q", u.limits.Depth, name)
	}
	return clean, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// checkType allows files, directories and symbolic links, without special bits. Hard links are refused
// because no tool that makes releases writes them.
func checkType(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
	case tar.TypeLink:
		return refuse(UnsafeEntry, "the package holds a hard link: %q", h.Name)
	default:
		return refuse(UnsafeEntry, "the package holds what is neither a file nor a directory: %q", h.Name)
	}
	if h.Typeflag == tar.TypeReg && h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return refuse(UnsafeEntry, "the package holds a setuid or setgid file: %q", h.Name)
	}
	return nil
}

// wanted tells what belongs on the volume. The records and the cookie that relx and mix put into a package
// would overwrite the volume's own, and bin/ is for launching without an agent.
func (u *unpacker) wanted(name string, kind byte) bool {
	top, rest, _ := strings.Cut(name, "/")
	inDir := strings.Contains(rest, "/") || rest != "" && kind == tar.TypeDir
	switch {
	case rest == "" && kind == tar.TypeDir:
		return false // made when something is put into it
	case rest != "" && strings.HasPrefix(top, "erts-"), top == libDir && inDir:
		return true
	case top == releaseDir && inDir:
		return path.Base(name) != manifestName
	case top == releaseDir && strings.HasSuffix(rest, ".rel"):
		return kind == tar.TypeReg
	}
	if top != "bin" && name != "releases/RELEASES" && name != "releases/start_erl.data" && name != "releases/COOKIE" {
		u.skipped[top] = true
	}
	return false
}
