package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/trust"
)

// openLocal is for what the machine itself has.
func (o Options) openLocal(ref string) (*Package, error) {
	if ref == "-" {
		return o.openStdin()
	}
	path, err := o.inDirectory(ref)
	if err != nil {
		return nil, err
	}
	p, err := openFile(path)
	if err != nil {
		return nil, err
	}
	p.SHA256 = o.SHA256
	if p.Signature, err = findSignature(path, o.Signature); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func openFile(path string) (*Package, error) {
	file, err := os.Open(path)
	if err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "PACKAGE is a file in the container; one from outside comes on standard input, as -, with docker exec -i; agent releases lists what is on the volume"
		}
		return nil, noPackage(hint, "cannot read the package: %v", err)
	}
	p := &Package{Name: filepath.Base(path), content: file}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		p.Size, p.path = info.Size(), path
	}
	return p, nil
}

// inDirectory is the one package in a directory, or the one of the version that was asked for. Anything else is taken for
// a file.
func (o Options) inDirectory(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
	case o.Release != "":
		return "", noPackage("", "cannot look for release %s in %s: it is no directory", o.Release, path)
	default:
		return path, nil
	}
	all, err := packagesIn(path)
	if err != nil {
		return "", noPackage("", "cannot read the package: %v", err)
	}
	found := all
	if o.Release != "" {
		found = ofRelease(all, o.Release)
	}
	switch {
	case len(found) == 1:
		return filepath.Join(path, found[0]), nil
	case len(all) == 0:
		return "", noPackage("packages are files that end in .tar.gz or .tgz", "cannot read the package: the directory %s has none", path)
	case len(found) == 0:
		return "", noPackage("", "cannot read the package: the directory %s has none of release %s, but %s", path, o.Release, strings.Join(all, ", "))
	}
	return "", noPackage("name one of them, or its version with --release", "cannot read the package: the directory %s has %d: %s", path, len(found), strings.Join(found, ", "))
}

// suffixes are those of packages.
var suffixes = []string{".tar.gz", ".tgz"}

func packagesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && NamesPackage(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// NamesPackage says whether a file of this name is called as packages are.
func NamesPackage(name string) bool {
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(name, suffix) })
}

// ofRelease are the packages NAME-VSN, as every tool names them.
func ofRelease(names []string, version string) (found []string) {
	for _, name := range names {
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, "-"+version+suffix) {
				found = append(found, name)
			}
		}
	}
	return found
}

// findSignature reads the file that was named, or the one beside the package, which may be missing. It may also be
// the text itself that was given: docker exec passes a host's files on as arguments and standard input alone.
func findSignature(pkg, named string) (string, error) {
	path := named
	switch {
	case strings.Contains(named, "\n"):
		return named, nil
	case named == "" && pkg == "":
		return "", nil
	case named == "":
		path = pkg + trust.Suffix
	}
	text, err := trust.ReadSignature(path)
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", &api.Error{Code: CodeNoSignature, Message: fmt.Sprintf("cannot read the signature: %v", err), State: unchanged}
	}
	return text, nil
}

// openStdin waits for the first byte, so that an agent is not asked for nothing.
func (o Options) openStdin() (*Package, error) {
	const hint = "docker exec needs -i to pass standard input on: docker exec -i CONTAINER agent upgrade - < PACKAGE"
	if o.Release != "" {
		return nil, noPackage("", "cannot look for release %s in standard input: it is no directory", o.Release)
	}
	if isTerminal(o.Stdin) {
		return nil, noPackage(hint, "cannot read the package: standard input is a terminal")
	}
	in := bufio.NewReader(o.Stdin)
	if _, err := in.Peek(1); err != nil {
		return nil, noPackage(hint, "cannot read the package: standard input is empty")
	}
	signature, err := findSignature("", o.Signature)
	if err != nil {
		return nil, err
	}
	return &Package{Name: "standard input", SHA256: o.SHA256, Signature: signature, content: io.NopCloser(in)}, nil
}

func isTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
