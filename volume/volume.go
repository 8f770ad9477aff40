package volume

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	agentDir   = ".agent"
	libDir     = "lib"
	releaseDir = "releases"
)

// Volume is the open release root. Its methods may be called from any goroutine.
type Volume struct {
	// Limits are what a package may ask of the volume; set before the first package.
	Limits Limits

	root  string
	lean  bool // of a package only releases/ is written: Inspect
	lock  *os.File
	stale *Owner     // of the lock before, where that did not give the volume back
	work  sync.Mutex // one change of the trees at a time
	mu    sync.Mutex // guards state
	st    State

	historyMu sync.Mutex
}

// Open makes the layout where it is missing, takes the lock and reads the state.
// Errors to branch on: *LockedError, ErrDamagedState, ErrNewerState, ErrForeign.
func Open(root string) (*Volume, error) { return OpenAs(root, "") }

// OpenAs is Open for an agent of a version, which whoever finds the volume locked is told.
func OpenAs(root, agent string) (*Volume, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open the volume: %w", err)
	}
	v := &Volume{root: root, Limits: DefaultLimits}
	if err := v.makeLayout(); err != nil {
		return nil, openError(root, err)
	}
	if v.lock, v.stale, err = takeLock(v.agentPath("lock"), agent); err != nil {
		return nil, openError(root, err)
	}
	if err := v.loadState(); err != nil {
		return nil, errors.Join(openError(root, err), giveBack(v.lock))
	}
	return v, nil
}

// openError names the way out, which is seldom seen at the hour when a container does not start.
func openError(root string, err error) error {
	err = fmt.Errorf("cannot open the volume %s: %w", root, err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; %s", err, ownership(root, err))
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w; mount it so that the agent can write", err)
	case errors.Is(err, ErrNewerState):
		return fmt.Errorf("%w; start the newer image again", err)
	case errors.Is(err, ErrDamagedState), errors.Is(err, ErrForeign):
		return fmt.Errorf("%w; empty the volume to begin anew with the image's package", err)
	}
	return err
}

// Close gives the lock back. Nothing may be called after it.
func (v *Volume) Close() error { return giveBack(v.lock) }

// TakenOver is the owner before, where that ended without giving the volume back.
func (v *Volume) TakenOver() (Owner, bool) {
	if v.stale == nil {
		return Owner{}, false
	}
	return *v.stale, true
}

// Root is the absolute path of the release root.
func (v *Volume) Root() string { return v.root }

// Path is an absolute path below the root.
func (v *Volume) Path(elem ...string) string {
	return filepath.Join(append([]string{v.root}, elem...)...)
}

// ReleaseDir is releases/<version>, absolute.
func (v *Volume) ReleaseDir(version string) string { return v.Path(releaseDir, version) }

// RelFile is the release resource file of a release on the volume, as release_handler:set_unpacked/2 wants it.
func (v *Volume) RelFile(version string) string {
	return filepath.Join(v.ReleaseDir(version), v.release(version).Name+".rel")
}

func (v *Volume) agentPath(elem ...string) string {
	return v.Path(append([]string{agentDir}, elem...)...)
}

func (v *Volume) packagePath(digest string) string {
	return v.agentPath("packages", digest+".tar.gz")
}

func (v *Volume) makeLayout() error {
	if err := os.MkdirAll(v.root, 0o755); err != nil {
		return err
	}
	if err := makeDir(v.agentPath(), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{libDir, releaseDir, "log"} {
		if err := makeDir(v.Path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"packages", "stage", "trash"} {
		if err := makeDir(v.agentPath(dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// newID names what lives for one operation only.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// discardTree renames a path below the root into the trash; emptyTrash deletes it. A crash in between leaves
// nothing that is half there.
func (v *Volume) discardTree(path string) error {
	return rename(path, v.agentPath("trash", newID()))
}

func (v *Volume) emptyTrash() error { return emptyDir(v.agentPath("trash")) }

func emptyDir(path string) error {
	names, err := directoryNames(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// trees lists what packages and links have put below the root: "lib/kernel-8.5.3", "erts-13.1.5",
// "releases/1.0.0".
func (v *Volume) trees() ([]string, error) {
	var trees []string
	top, err := os.ReadDir(v.root)
	if err != nil {
		return nil, err
	}
	for _, e := range top {
		if strings.HasPrefix(e.Name(), "erts-") {
			trees = append(trees, e.Name())
		}
	}
	for _, parent := range []string{libDir, releaseDir} {
		entries, err := os.ReadDir(v.Path(parent))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || e.Type()&fs.ModeSymlink != 0 {
				trees = append(trees, filepath.Join(parent, e.Name()))
			}
		}
	}
	slices.Sort(trees)
	return trees, nil
}
