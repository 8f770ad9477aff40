package volume

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
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
	binDir     = "bin"
)

const bufferBytes = 256 << 10

// Volume is the open release root. Its methods may be called from any goroutine.
type Volume struct {
	// Limits are what a package may ask of the volume; set before the first package.
	Limits Limits

	root  string
	bench bool // it is there for one package to be looked at: Inspect, Examine
	lean  bool // of that only releases/ is written
	disk  disk
	lock  lock
	work  sync.Mutex // one change of the trees at a time
	// coming is held while there is something that no record names yet and that looks like debris: a package that is being
	// received, a stage from which a release is restored. Recover has it alone. It is taken before work.
	coming sync.RWMutex
	mu     sync.Mutex // guards state
	st     State

	unsure bool // a state that was refused may be on the disk

	historyMu   sync.Mutex
	historyLost bool // what was appended last may not be on the disk

	newID   func() string // names what lives for one operation only
	ballast int64         // bytes
	buffer  int           // bytes, of a read or a write
	history int64         // bytes of each of its two files
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
	v := &Volume{
		root: root, disk: osDisk{agent}, Limits: DefaultLimits, newID: randomID,
		ballast: ballastBytes, buffer: bufferBytes, history: historyBytes,
	}
	if err := v.open(); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Volume) open() error {
	err := v.makeLayout()
	if err == nil {
		v.lock, err = v.disk.Lock(v.agentPath("lock"))
	}
	if err != nil {
		return openError(v.root, err)
	}
	if err = v.settleNames(); err == nil {
		err = v.loadState()
	}
	if err != nil {
		return errors.Join(openError(v.root, err), v.lock.Close())
	}
	return nil
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
func (v *Volume) Close() error { return v.lock.Close() }

// TakenOver is the owner before, where that ended without giving the volume back.
func (v *Volume) TakenOver() (Owner, bool) {
	before := v.lock.Before()
	return before, before != Owner{}
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

// paths are the absolute paths of trees.
func (v *Volume) paths(trees []string) []string {
	paths := make([]string, 0, len(trees))
	for _, tree := range trees {
		paths = append(paths, v.Path(tree))
	}
	return paths
}

func (v *Volume) agentPath(elem ...string) string {
	return v.Path(append([]string{agentDir}, elem...)...)
}

func (v *Volume) packagePath(digest string) string {
	return v.agentPath("packages", digest+".tar.gz")
}

func (v *Volume) makeLayout() error {
	layout := v.step("make the layout")
	if err := layout.makeDir(v.root, 0o755); err != nil {
		return err
	}
	if err := layout.makeDir(v.agentPath(), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{libDir, releaseDir, "log"} {
		if err := layout.makeDir(v.Path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, dir := range []string{"packages", "stage", "trash", "reports"} {
		if err := layout.makeDir(v.agentPath(dir), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// settleNames makes durable what will be believed: the layout, and the state.json and the trees that an agent before this
// one has put in their place and was killed before it could do so. What is built on a name that a power cut takes away is
// lost with it.
func (v *Volume) settleNames() error {
	for _, dir := range []string{v.root, v.agentPath(), v.Path(libDir), v.Path(releaseDir)} {
		if err := v.disk.SyncDir("settle the names", dir); err != nil {
			return err
		}
	}
	return nil
}

func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// discardTree renames a path below the root into the trash; emptyTrash deletes it. A crash in between leaves
// nothing that is half there. It is not durable: what comes back after a power cut is found and discarded again.
func (v *Volume) discardTree(path string) error {
	return v.disk.Rename("discard", path, v.agentPath("trash", v.newID()))
}

func (v *Volume) emptyTrash() error { return v.step("empty the trash").emptyDir(v.agentPath("trash")) }

// trees lists what packages and links have put below the root: "lib/kernel-8.5.3", "erts-13.1.5",
// "releases/1.0.0".
func (v *Volume) trees() ([]string, error) {
	var trees []string
	top, err := v.disk.ReadDir(v.root)
	if err != nil {
		return nil, err
	}
	for _, e := range top {
		if strings.HasPrefix(e.Name(), "erts-") {
			trees = append(trees, e.Name())
		}
	}
	for _, parent := range []string{libDir, releaseDir} {
		entries, err := v.disk.ReadDir(v.Path(parent))
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

// Free is how much room the volume has for the agent, bytes.
func (v *Volume) Free() (int64, error) {
	free, err := v.disk.Free(v.root)
	return free.bytes, err
}
