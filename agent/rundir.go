package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"theseus/agent/family"
)

// makeRunDir makes the private directory for socket and cookie. Others may pass through it to the socket,
// which checks who they are, and see nothing else.
func makeRunDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("cannot make the run directory: %w; mount a tmpfs there (docker run --tmpfs %s)", err, filepath.Dir(dir))
	}
	family.Clean(dir)
	probe := filepath.Join(dir, ".probe")
	if err := os.WriteFile(probe, nil, 0o600); err != nil {
		return fmt.Errorf("cannot write into the run directory: %w; mount a tmpfs there that uid %d may write", err, os.Getuid())
	}
	return os.Remove(probe)
}

// newCookie is 256 random bits.
func newCookie() (string, error) {
	var bits [32]byte
	if _, err := rand.Read(bits[:]); err != nil {
		return "", fmt.Errorf("cannot make a cookie: %w", err)
	}
	return hex.EncodeToString(bits[:]), nil
}

// writeCookie puts a cookie where a node with this HOME looks for it (kernel: auth:init_cookie).
// The file must be readable by its owner only, or the node refuses to start.
func writeCookie(home, cookie string) error {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return fmt.Errorf("cannot make the node's home: %w", err)
	}
	if err := ownedAlone(home); err != nil {
		return fmt.Errorf("cannot use the node's home: %w", err)
	}
	path := filepath.Join(home, ".erlang.cookie")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot replace the cookie: %w", err)
	}
	if err := os.WriteFile(path, []byte(cookie), 0o400); err != nil {
		return fmt.Errorf("cannot write the cookie: %w", err)
	}
	return nil
}

// ownedAlone refuses a directory that somebody else made, or may write: below a /run that is open to all,
// another user of the container could have been there first.
func ownedAlone(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of uid %d alone", dir, os.Geteuid())
	}
	return nil
}
