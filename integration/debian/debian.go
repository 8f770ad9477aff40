// Package debian builds release packages on libraries as Debian has them, for the stories of what others have written.
package debian

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/need"
	"theseus/integration/ship"
)

// Packages builds those of a story, a directory beside this one with a build.sh, and returns the directory where they are.
func Packages(s *ship.Ship, story string) (dir string) {
	s.T.Helper()
	root, err := images.Root()
	s.Must(err)
	build := docker.Build{
		Dir: filepath.Join(root, "integration"), File: "debian/Dockerfile", Args: map[string]string{"OTP": s.Set.OTP, "STORY": story},
		Tag: cmp.Or(os.Getenv("AGENT_TEST_IMAGE"), "theseus-demo") + "-" + story + ":" + s.Set.OTP,
	}
	var progress bytes.Buffer
	if err := build.Run(s.T.Context(), &progress); err != nil {
		if strings.Contains(progress.String(), "Failed to fetch") || strings.Contains(progress.String(), "Unable to") {
			need.Missing(s.T, "Debian's packages: "+progress.String())
		}
		s.T.Fatalf("%v\n%s", err, progress.String())
	}
	dir = s.T.TempDir()
	s.Must(s.Session.CopyOut(s.T.Context(), build.Tag, "/packages/.", dir))
	return dir
}
