package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// TestAnRPMUpgradesTheServiceThatRuns with the lines of docs/postinst as its %posttrans. Where they fail the RPM is installed all the same: rpm
// warns, and 6.1 ends with 1. A plugin of rpm 4.20 would run them in namespaces of their own, which a container may not make.
func TestAnRPMUpgradesTheServiceThatRuns(t *testing.T) {
	ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
		with := *set
		with.Image = withRPM(t, set.Image)
		s := ship.Launch(t, &with)
		good := rpmOf(s, images.Second, s.Package(images.Second))
		s.Has(installsRPM(s, s.Container, good), "demo 1.1.0 runs and is permanent")
		s.Serves(images.Second)
		first := len(s.History())
		installsRPM(s, s.Container, good) // once more is nothing to do
		if again := len(s.History()); again != first {
			t.Errorf("the history had %d events, and has %d", first, again)
		}
		third := s.Package(images.Third)
		half := rpmOf(s, images.Third, third[:len(third)/2])
		s.Has(installsRPM(s, s.Container, half), "%posttrans(demo-release-1.2.0-1.noarch) scriptlet failed", "demo 1.1.0 still runs, nothing was changed")
		s.Serves(images.Second)
		s.Has(installsRPM(s, s.Container, rpmOf(s, images.Third, third)), "demo 1.2.0 runs and is permanent")
		s.Serves(images.Third)

		// In an image that is built nobody listens.
		built, err := s.Session.Start(t.Context(), docker.Spec{Image: with.Image, Name: "built", Command: []string{"infinity"}, Options: []string{"--entrypoint", "sleep"}})
		s.Must(err)
		s.Has(installsRPM(s, built, good), "demo 1.1.0: no agent runs here, nothing is upgraded")
	})
}

// withRPM is an image that has Debian's rpm as well.
func withRPM(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	file := "FROM " + image + "\nUSER 0\nRUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends rpm && rm -rf /var/lib/apt/lists/*\n"
	err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(file), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	build := docker.Build{Dir: dir, File: "Dockerfile", Tag: strings.Replace(image, ":", "-rpm:", 1)}
	if err := build.Run(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	return build.Tag
}

// installsRPM installs one as root, in the place of what is there, and looks at what rpm thinks of it then.
func installsRPM(s *ship.Ship, c *docker.Container, rpm []byte) string {
	s.T.Helper()
	var said bytes.Buffer
	status, err := c.Exec(s.T.Context(), docker.Exec{
		Options: []string{"-u", "0"}, Stdin: bytes.NewReader(rpm), Stdout: &said, Stderr: &said,
		Args: []string{"sh", "-c", `cat > /tmp/demo.rpm && { rpm $(rpm --help | grep -o -- --force-debian) --noplugins --nodeps --force -U /tmp/demo.rpm
			echo "rpm ends with $?"; } && rpm -q demo-release && rpm -qp /tmp/demo.rpm`},
	})
	s.Must(err)
	lines := strings.Fields(said.String())
	if n := len(lines); status != 0 || n < 2 || lines[n-1] != lines[n-2] {
		s.T.Errorf("status %d, and the package is to be the one that is installed:\n%s", status, said.String())
	}
	if failed := strings.Contains(said.String(), "scriptlet failed"); !failed && !strings.Contains(said.String(), "rpm ends with 0\n") {
		s.T.Errorf("it fails:\n%s", said.String())
	}
	return said.String()
}

// rpmOf makes the RPM of a release in the container, with the script of the manual.
func rpmOf(s *ship.Ship, version string, pkg []byte) []byte {
	s.T.Helper()
	script, err := os.ReadFile("../docs/postinst")
	s.Must(err)
	text := string(script)
	for old, mended := range map[string]string{"\nVERSION=1.1.0\n": "\nVERSION=" + version + "\n", `[ "$1" = configure ] && `: ""} {
		if !strings.Contains(text, old) {
			s.T.Fatalf("the script of the manual lacks %q", old)
		}
		text = strings.Replace(text, old, mended, 1)
	}
	file := "/usr/share/demo/demo-" + version + ".tar.gz"
	spec := fmt.Sprintf(`Name: demo-release
Version: %s
Release: 1
Summary: demo
License: none
BuildArch: noarch
AutoReqProv: no
%%global __os_install_post %%{nil}
%%description
%%install
install -D /tmp/package %%{buildroot}%s
%%files
%s
%%posttrans
%s`, version, file, file, strings.TrimPrefix(text, "#!/bin/sh\n"))
	put := func(path string, content []byte) {
		_, err := s.Exec(s.T.Context(), docker.Exec{Options: []string{"-u", "0"}, Args: []string{"sh", "-c", "cat > " + path}, Stdin: bytes.NewReader(content)})
		s.Must(err)
	}
	put("/tmp/package", pkg)
	put("/tmp/demo.spec", []byte(spec))
	var rpm, said bytes.Buffer
	status, err := s.Exec(s.T.Context(), docker.Exec{
		Options: []string{"-u", "0"}, Stdout: &rpm, Stderr: &said,
		Args: []string{"sh", "-c", "rpmbuild -bb --quiet --define '_topdir /tmp/rpm' /tmp/demo.spec >&2 && cat /tmp/rpm/RPMS/noarch/demo-release-" + version + "-1.noarch.rpm"},
	})
	s.Must(err)
	if status != 0 {
		s.T.Fatalf("rpmbuild ends with %d:\n%s", status, said.String())
	}
	return rpm.Bytes()
}
