package etc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const maxFile = 1 << 20 // bytes

// Text is that of a file which neither the node nor a stranger can have written.
func Text(path, volume string) ([]byte, error) {
	file, err := openTrusted(path, volume)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return text, err
}

// Open opens a file and nothing else, and waits for nobody: for a pipe it would.
func Open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// openTrusted asks everything of the file that is open: at the next look the path may lead to another one.
func openTrusted(path, volume string) (*os.File, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	if err = offVolume(file, volume); err == nil {
		err = unwritable(file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// offVolume refuses what the node could have put there, through links as well.
func offVolume(file *os.File, volume string) error {
	if volume == "" {
		return nil
	}
	place, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return fmt.Errorf("cannot tell where %s is: %w", file.Name(), err)
	}
	if real, err := filepath.EvalSymlinks(volume); err == nil {
		volume = real
	}
	if name, err := filepath.Rel(volume, place); err == nil && filepath.IsLocal(name) {
		return fmt.Errorf("%s is on the volume, which the node can write", file.Name())
	}
	return nil
}

// unwritable refuses what others may write, or may let themselves write: who owns a file can. On a mount that is read-only he cannot, and
// is as a rule who runs the container, with a number that means nobody in it. One that the user namespace does not map is 65534, a
// stranger too. The directories above may be anybody's, as those of a ConfigMap are: what a stranger puts there is his own.
func unwritable(file *os.File) error {
	var stat unix.Stat_t
	var mount unix.Statfs_t
	err := unix.Fstat(int(file.Fd()), &stat)
	if err == nil {
		err = statfs(file, &mount)
	}
	if err != nil {
		return fmt.Errorf("cannot tell who may write %s: %w", file.Name(), err)
	}
	var wrong, mend []string
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() && mount.Flags&unix.ST_RDONLY == 0 {
		wrong = append(wrong, fmt.Sprintf("belongs to user %d, who is neither root nor the agent's own", stat.Uid))
		mend = append(mend, "chown root "+file.Name())
	}
	if stat.Mode&0o022 != 0 {
		wrong = append(wrong, fmt.Sprintf("can be written by its group or by everybody (mode %04o)", stat.Mode&0o7777))
		mend = append(mend, "chmod go-w "+file.Name())
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s %s; %s mends it", file.Name(), strings.Join(wrong, ", and "), strings.Join(mend, " && "))
}

// statfs goes on where a signal interrupts it, as it may on overlayfs.
func statfs(file *os.File, into *unix.Statfs_t) error {
	for {
		if err := unix.Fstatfs(int(file.Fd()), into); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
