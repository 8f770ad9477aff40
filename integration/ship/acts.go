package ship

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"theseus/integration/docker"
	"theseus/integration/images"
	"theseus/integration/repack"
)

// EndsIt fails the story unless a command that ends the container ended well, or was killed with it.
func (s *Ship) EndsIt(a Answer) {
	s.T.Helper()
	if a.Status != 137 {
		s.Ends(a, 0)
	}
}

// Tells fails the story unless the history has such an event.
func (s *Ship) Tells(kind string) {
	s.T.Helper()
	var kinds []string
	for _, e := range s.History() {
		if e.Kind == kind {
			return
		}
		kinds = append(kinds, e.Kind)
	}
	s.T.Errorf("the history has no %s: %v", kind, kinds)
}

// Has fails the story unless a text has these words.
func (s *Ship) Has(text string, words ...string) {
	s.T.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.T.Errorf("%q is not in\n%s", w, text)
		}
	}
}

// AwaitEvent waits until the history tells of it.
func (s *Ship) AwaitEvent(kind string) {
	s.T.Helper()
	deadline := time.Now().Add(Patience)
	for time.Now().Before(deadline) {
		for _, e := range s.History() {
			if e.Kind == kind {
				return
			}
		}
	}
	s.T.Fatalf("no event %s within %s\n%s", kind, Patience, s.Logs(s.T.Context()))
}

// AwaitUpgrade waits until the upgrade under way is in a state, or, where that is empty, until none is.
func (s *Ship) AwaitUpgrade(state string) {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "an upgrade in state "+strconv.Quote(state), Patience, func(context.Context) error {
		var now string
		if u := s.Status().Upgrade; u != nil {
			now = u.State
		}
		if now != state {
			return fmt.Errorf("its state is %q", now)
		}
		return nil
	}))
}

// Pause freezes the container. On a busy machine the freezer of cgroups v1 gives up now and then.
func (s *Ship) Pause() {
	s.T.Helper()
	s.Must(s.Await(s.T.Context(), "the pause", Patience, func(ctx context.Context) error {
		_, err := docker.Output(ctx, "pause", s.ID)
		return err
	}))
}

// Unpause lets the container go on.
func (s *Ship) Unpause() {
	s.T.Helper()
	_, err := docker.Output(s.T.Context(), "unpause", s.ID)
	s.Must(err)
}

// KillNode kills the BEAM. The container may end with it, and the command that killed it with the container.
func (s *Ship) KillNode() {
	s.T.Helper()
	_, _ = s.Output(s.T.Context(), "sh", "-c", "kill -9 "+s.RPC("os", "getpid"))
}

// RelupWith makes a package of 1.1.0 whose relup was edited.
func (s *Ship) RelupWith(edit func(relup string) string) []byte {
	s.T.Helper()
	pkg, err := repack.Bytes(s.Package(images.Second), func(name string, content []byte) (string, []byte) {
		if strings.HasSuffix(name, "/relup") {
			return name, []byte(edit(string(content)))
		}
		return name, content
	})
	s.Must(err)
	return pkg
}

// ImageWith is the ship's image with a seed that was packed once more.
func (s *Ship) ImageWith(tag string, edit repack.Edit) string {
	s.T.Helper()
	pkg, err := repack.Bytes(s.Package(images.Seed), edit)
	s.Must(err)
	return s.ImageOf(tag, pkg)
}

// ImageOf is the ship's image with another seed.
func (s *Ship) ImageOf(tag string, seed []byte) string {
	s.T.Helper()
	dir := s.T.TempDir()
	s.Must(os.WriteFile(filepath.Join(dir, "seed.tar.gz"), seed, 0o644))
	dockerfile := "FROM " + s.Set.Image + "\nUSER root\nRUN rm /usr/share/agent/seed/*\nCOPY seed.tar.gz /usr/share/agent/seed/\nUSER app\n"
	s.Must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644))
	build := docker.Build{Dir: dir, File: "Dockerfile", Tag: s.Set.Image + "-" + tag}
	var progress bytes.Buffer
	if err := build.Run(s.T.Context(), &progress); err != nil {
		s.T.Fatalf("%v\n%s", err, progress.String())
	}
	return build.Tag
}
