package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Image is the OTP that the container's image brings; its zero value is an image without one.
type Image struct {
	OTPRoot string // absolute: /usr/lib/erlang, /usr/local/lib/erlang
	ERTS    string // version
}

// DetectImage finds the OTP that an erl belongs to: <root>/bin/erl, behind whatever links.
func DetectImage(erlPath string) (Image, error) {
	erl, err := filepath.EvalSymlinks(erlPath)
	if err != nil {
		return Image{}, fmt.Errorf("cannot find the OTP of %s: %w", erlPath, err)
	}
	root := filepath.Dir(filepath.Dir(erl))
	if strings.HasPrefix(filepath.Base(root), "erts-") {
		root = filepath.Dir(root) // <root>/erts-<v>/bin/erl
	}
	erts, err := ertsOf(root)
	if err != nil {
		return Image{}, fmt.Errorf("cannot find the OTP of %s: %w", erlPath, err)
	}
	return Image{OTPRoot: root, ERTS: erts}, nil
}

// ertsOf asks start_erl.data, since Debian and others may leave an older erts directory behind.
func ertsOf(root string) (string, error) {
	if data, err := os.ReadFile(filepath.Join(root, releaseDir, "start_erl.data")); err == nil {
		started, ok := parseStartErl(data)
		if ok && isDir(osDisk{}, filepath.Join(root, ertsPrefix+started.ERTS)) {
			return started.ERTS, nil
		}
	}
	found, err := filepath.Glob(filepath.Join(root, "erts-*"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s holds %d versions of ERTS, not one", root, len(found))
	}
	return strings.TrimPrefix(filepath.Base(found[0]), "erts-"), nil
}

// part is an application or the ERTS, as a release names it.
type part struct{ name, version string }

func (p part) dir() string {
	if p.name == "erts" {
		return "erts-" + p.version
	}
	return Lib{App: p.name, Version: p.version}.dir()
}

func (r Release) parts() []part {
	parts := []part{{"erts", r.ERTS}}
	for _, lib := range r.Libs {
		parts = append(parts, part{lib.App, lib.Version})
	}
	return parts
}

// provides tells where the image has a part.
func (i Image) provides(p part) (string, bool) {
	path := filepath.Join(i.OTPRoot, p.dir())
	return path, i.OTPRoot != "" && isDir(osDisk{}, path)
}

// lacks is the refusal of a release that needs what the image does not have.
func (i Image) lacks(p part) error {
	versions := i.versions(p.name)
	has := "has " + strings.Join(versions, " and ")
	switch {
	case i.OTPRoot == "":
		has = "has no OTP"
	case len(versions) == 0:
		return refuse(NeedsImage, "it needs %s-%s, which neither the package nor the image has", p.name, p.version)
	}
	return refuse(NeedsImage, "it needs a new image, with %s-%s: this one %s", p.name, p.version, has)
}

func (i Image) versions(name string) []string {
	found, err := filepath.Glob(filepath.Join(i.OTPRoot, filepath.Dir(part{name, ""}.dir()), name+"-*"))
	if err != nil {
		return nil // the name is no pattern
	}
	for n := range found {
		found[n] = filepath.Base(found[n])
	}
	return found
}

// Link makes the links into the image for what the release needs and no package brought. Directories stay as
// they are; links into an older image are replaced. A *PackageError with the code NeedsImage names what is
// neither on the volume nor in the image. The links are not durable: each boot makes those that are missing.
func (v *Volume) Link(image Image, version string) error {
	v.work.Lock()
	defer v.work.Unlock()
	r, err := v.known(version)
	if err != nil {
		return err
	}
	own := map[string]bool{}
	for _, tree := range r.Own {
		own[tree] = true
	}
	for _, p := range r.parts() {
		if own[p.dir()] {
			continue // missing or not, it is never the image's
		}
		if err := v.linkPart(image, p); err != nil {
			return about(r.title(), err)
		}
	}
	return nil
}

func (v *Volume) linkPart(image Image, p part) error {
	path := v.Path(p.dir())
	target, provided := image.provides(p)
	have, err := v.disk.Readlink(path)
	switch {
	case err == nil && provided && have == target:
		return nil
	case isRealDir(v.disk, path):
		return nil
	case !provided:
		return image.lacks(p)
	}
	if err := v.step("link to the image").replaceLink(target, path); err != nil {
		return fmt.Errorf("cannot link %s to the image: %w", p.dir(), err)
	}
	return nil
}

// FitsImage is a *PackageError with the code NeedsImage where Link will not find all that the package does not bring.
func (s *Staged) FitsImage(image Image) error { return about(s.Release.title(), s.checkParts(image)) }

func (s *Staged) checkParts(image Image) error {
	for _, p := range s.Release.parts() {
		_, provided := image.provides(p)
		if disk := s.volume.disk; !provided && !isRealDir(disk, s.volume.Path(p.dir())) && !isRealDir(disk, s.path(p.dir())) {
			return image.lacks(p)
		}
	}
	return nil
}
