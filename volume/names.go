package volume

import (
	"archive/tar"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkName returns the clean form of an entry's name, or refuses it. It is a copy: the header's own may be a part of
// a block of a megabyte.
func (u *unpacker) checkName(h *tar.Header) (string, error) {
	name := h.Name
	clean := strings.TrimPrefix(name, "./")
	if h.Typeflag == tar.TypeDir {
		clean = strings.TrimSuffix(clean, "/")
	}
	if clean == "" && h.Typeflag == tar.TypeDir {
		clean = "."
	}
	switch {
	case path.IsAbs(name):
		return "", unsafeName(name, "is absolute")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", unsafeName(name, `leads upwards with ".."`)
	case !utf8.ValidString(name):
		return "", unsafeName(name, "is not UTF-8")
	case strings.ContainsFunc(name, isControl):
		return "", unsafeName(name, "has control characters")
	case !fs.ValidPath(clean), clean == "." && h.Typeflag != tar.TypeDir:
		return "", unsafeName(name, "is no plain path")
	case len(clean) > u.limits.NameBytes, slices.ContainsFunc(strings.Split(clean, "/"), isTooLong):
		return "", nameTooLong(name)
	case strings.Count(clean, "/") >= u.limits.Depth:
		return "", refuse(UnsafePath, "a name in the package has more than %d components: %.200q", u.limits.Depth, name)
	}
	return strings.Clone(clean), nil
}

func unsafeName(name, why string) error {
	return refuse(UnsafePath, "unsafe name in the package: %.200q %s", name, why)
}

func nameTooLong(name string) error {
	return refuse(UnsafePath, "a name in the package is too long: %.200q", name)
}

// isTooLong tells what no file system takes as one component (NAME_MAX).
func isTooLong(component string) bool { return len(component) > 255 }

// isControl finds what may change what a person reads: also the marks that turn the direction of writing, and line ends
// that are not control characters.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}

// checkType allows files, directories and links, without special bits. Sparse files are refused because no tool that makes
// releases writes them.
func checkType(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeLink:
	case tar.TypeChar, tar.TypeBlock:
		return unsafeEntry("a device", h)
	case tar.TypeFifo:
		return unsafeEntry("a fifo", h)
	case tar.TypeGNUSparse:
		return unsafeEntry("a sparse file", h)
	case tar.TypeXGlobalHeader:
		return unsafeEntry("a header for all of its files", h)
	default:
		return refuse(UnsafeEntry, "the package holds an entry of the unknown type %q: %.200q", h.Typeflag, h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return unsafeEntry("a sparse file", h)
		}
	}
	if h.Typeflag == tar.TypeReg && h.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		return unsafeEntry("a setuid, setgid or sticky file", h)
	}
	return nil
}

func unsafeEntry(what string, h *tar.Header) error {
	return refuse(UnsafeEntry, "the package holds %s: %.200q", what, h.Name)
}
