package hostile

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Tree describes everything below a directory: kinds, modes, owners, numbers of links, times, and what is in it or where
// it leads. Two of them are equal when nothing was touched. Directories that are busy have no time.
func Tree(root string, busy ...string) (map[string]string, error) {
	found := map[string]string{}
	return found, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("nothing is known of %s", path)
		}
		content, err := contentOf(path, info)
		at := fmt.Sprint(stat.Mtim)
		if slices.Contains(busy, name) {
			at = "some time"
		}
		found[name] = fmt.Sprintf("%v of %d:%d, %d links, at %s: %s", info.Mode(), stat.Uid, stat.Gid, stat.Nlink, at, content)
		return err
	})
}

func contentOf(path string, info fs.FileInfo) (string, error) {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return os.Readlink(path)
	case !info.Mode().IsRegular():
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return fmt.Sprintf("%x", sum.Sum(nil)), err
}
