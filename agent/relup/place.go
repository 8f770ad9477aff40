package relup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"theseus/signals"
	"theseus/volume"
)

// On is a release as it lies on a volume, with its links into the image.
func On(v *volume.Volume, r volume.Release) Release {
	return describe(r, v.RelFile(r.Version), func(lib volume.Lib) string { return v.Path("lib", lib.App+"-"+lib.Version) })
}

// Staged is a release that is not on the volume yet.
func Staged(s *volume.Staged, image volume.Image) Release {
	return describe(s.Release, s.RelFile(), func(lib volume.Lib) string { return s.LibDir(image, lib) })
}

// describe is told where the directory of each application is.
func describe(r volume.Release, relFile string, dir func(volume.Lib) string) Release {
	release := Release{Name: r.Name, Version: r.Version, RelFile: relFile, Ebins: map[string]string{}, Versions: map[string]string{}}
	for _, lib := range r.Libs {
		release.Ebins[lib.App] = filepath.Join(dir(lib), "ebin")
		release.Versions[lib.App] = lib.Version
	}
	return release
}

// Derive makes the relup from a release on the volume to one that is staged. dir is an empty directory, which is left to the
// caller.
func Derive(ctx context.Context, v *volume.Volume, image volume.Image, init *signals.Init, dir string, from volume.Release, to *volume.Staged) (Made, error) {
	if from.ERTS != to.Release.ERTS {
		return Made{}, &UnderivableError{[]string{fmt.Sprintf("it needs ERTS %s, and %s runs", to.Release.ERTS, from.ERTS)}}
	}
	vm, err := VMOf(v, image, from, init, dir)
	if err != nil {
		return Made{}, err
	}
	return Make(ctx, vm, On(v, from), Staged(to, image))
}

// VMOf finds the emulator that can read a release: the release's own ERTS, or the image's. It needs a boot script without
// applications, which relx and mix put into a release, and every OTP has. scratch is an empty directory, which is left to the caller.
func VMOf(v *volume.Volume, image volume.Image, r volume.Release, init *signals.Init, scratch string) (VM, error) {
	erlexec := v.Path("erts-"+r.ERTS, "bin", "erlexec")
	for _, dir := range []string{v.ReleaseDir(r.Version), filepath.Join(image.OTPRoot, "bin")} {
		for _, boot := range []string{"no_dot_erlang", "start_clean"} {
			script := filepath.Join(dir, boot)
			if _, err := os.Stat(script + ".boot"); err == nil && filepath.IsAbs(script) {
				return VM{Erlexec: erlexec, Root: v.Root(), Boot: script, Init: init, Scratch: scratch}, nil
			}
		}
	}
	return VM{}, fmt.Errorf("cannot start an emulator for %s %s: neither it nor the image has a start_clean.boot", r.Name, r.Version)
}

// Packages unpacks two packages into a directory of their own, as a volume would have them, and makes the relup from the one
// to the other.
func Packages(ctx context.Context, dir string, image volume.Image, init *signals.Init, files [2]string) (made Made, err error) {
	v, err := volume.Open(filepath.Join(dir, "volume"))
	if err != nil {
		return Made{}, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	var releases [2]volume.Release
	for n, file := range files {
		if releases[n], err = unpack(ctx, v, image, file, releases[0].Name); err != nil {
			return Made{}, err
		}
	}
	if releases[0].Version == releases[1].Version {
		return Made{}, fmt.Errorf("both packages hold %s %s", releases[0].Name, releases[0].Version)
	}
	scratch := filepath.Join(dir, "scratch")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return Made{}, err
	}
	vm, err := VMOf(v, image, releases[1], init, scratch)
	if err != nil {
		return Made{}, err
	}
	return Make(ctx, vm, On(v, releases[0]), On(v, releases[1]))
}

func unpack(ctx context.Context, v *volume.Volume, image volume.Image, file, name string) (r volume.Release, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, fmt.Errorf("cannot read the package: %w", err)
	}
	defer f.Close()
	pkg, err := v.Receive(ctx, f, nil)
	if err != nil {
		return r, fmt.Errorf("cannot read %s: %w", file, err)
	}
	staged, err := v.Stage(ctx, pkg, name, nil)
	if err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	if r, err = staged.Publish(image); err == nil {
		err = v.Link(image, r.Version)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}
