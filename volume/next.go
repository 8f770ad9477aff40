package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// NextFile is where release_handler writes what is to be booted once, when the node ends for a relup that restarts the
// emulator: "ERTS VERSION" (sasl: release_handler:write_new_start_erl/3).
const NextFile = "new_start_erl.data"

// HybridPrefix begins the version of the release that release_handler makes for the first boot of a new ERTS, out of
// the new kernel, stdlib and sasl and the other applications of the version that follows the prefix.
const HybridPrefix = "__new_emulator__"

// Next is what release_handler wants to be booted once.
type Next struct{ ERTS, Version string }

// TakeNext reads what release_handler wants, and takes it away, since OTP never does. It is zero where that is nothing.
// The removal is not durable: each start of the agent derives the records first, and drops it again.
func (v *Volume) TakeNext() (Next, error) {
	v.work.Lock()
	defer v.work.Unlock()
	path := v.Path(releaseDir, NextFile)
	text, err := readText(v.disk, path, startErlBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return Next{}, nil
	}
	err = errors.Join(err, v.step("take what is next").removeFile(path))
	next, ok := parseStartErl(text)
	if err == nil && !ok {
		err = fmt.Errorf("it holds %.100q", text)
	}
	if err != nil {
		return Next{}, fmt.Errorf("cannot read what release_handler wants to be booted: %w", err)
	}
	return next, nil
}

const startErlBytes = 4096 // that such a file may have

// parseStartErl reads a start_erl.data: OTP writes no newline behind it, other tools do. Both parts are names of files.
func parseStartErl(text []byte) (Next, bool) {
	erts, version, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if !isFileName(erts) || !isFileName(version) {
		return Next{}, false
	}
	return Next{ERTS: erts, Version: version}, true
}

func (n Next) String() string { return n.ERTS + " " + n.Version }

// DropNext forgets what release_handler wanted to be booted before now.
func (v *Volume) DropNext() error {
	v.work.Lock()
	defer v.work.Unlock()
	if err := v.dropNext(); err != nil {
		return fmt.Errorf("cannot forget what release_handler wanted to be booted: %w", err)
	}
	return nil
}

// dropNext removes what a restart of the emulator may have left.
func (v *Volume) dropNext() error {
	drop := v.step("drop what was next")
	names, err := directoryNames(drop, v.Path(releaseDir))
	for _, name := range names {
		if strings.HasPrefix(name, HybridPrefix) {
			err = errors.Join(err, drop.RemoveAll(drop.name, v.Path(releaseDir, name)))
		}
	}
	return errors.Join(err, drop.removeFile(v.Path(releaseDir, NextFile)))
}
