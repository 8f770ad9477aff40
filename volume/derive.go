package volume

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"theseus/rpc/term"
)

// Derive rewrites releases/RELEASES and releases/start_erl.data for a boot of this version, and removes what OTP leaves
// behind of a relup that restarts the emulator. It must run before every launch: release_handler believes RELEASES and
// never compares it with what has booted. The one boot that such a relup asks for is the exception (TakeNext).
func (v *Volume) Derive(boot string) error {
	v.work.Lock()
	defer v.work.Unlock()
	r, err := v.known(boot)
	if err != nil {
		return fmt.Errorf("cannot write the records of OTP: %w", err)
	}
	startErl := Next{ERTS: r.ERTS, Version: r.Version}.String()
	for _, record := range [][2]string{{"RELEASES", encodeReleases(v.State(), boot)}, {"start_erl.data", startErl}} {
		if err := v.derive("derive the records of OTP", v.Path(releaseDir, record[0]), []byte(record[1]), 0o644); err != nil {
			return fmt.Errorf("cannot write the records of OTP: %w", err)
		}
	}
	if err := v.dropNext(); err != nil {
		return fmt.Errorf("cannot remove a stale record of OTP: %w", err)
	}
	return nil
}

// derive gives a file that is written anew before each boot its content; so nothing waits until it is durable. On a full
// disk the old one gives its room to the new one: a node that cannot boot would be worse than a crash that leaves neither.
func (v *Volume) derive(purpose, path string, content []byte, mode fs.FileMode) error {
	if holds(v.disk, path, content) {
		return nil
	}
	s := v.step(purpose)
	write := func() error {
		return v.withRoom(func() error { return s.exchangeFile(path, content, mode, closeUnsynced) })
	}
	err := write()
	if isFull(err) && s.removeFile(path) == nil {
		err = write()
	}
	return err
}

// encodeReleases writes the list that release_handler reads at its start (release_handler:init/1). The booted
// release is permanent; of the others the one before it is old. Library paths are relative to ROOTDIR.
func encodeReleases(s State, boot string) string {
	releases := slices.SortedFunc(maps.Values(s.Releases), func(a, b Release) int {
		return cmp.Or(bootsFirst(a, b, boot), a.Unpacked.Compare(b.Unpacked), cmp.Compare(a.Version, b.Version))
	})
	var b strings.Builder
	b.WriteString("%% coding: utf-8\n[")
	for n, r := range releases {
		if n > 0 {
			b.WriteString(",\n ")
		}
		b.WriteString(term.Format(releaseRecord(r, otpStatus(s, r.Version, boot))))
	}
	b.WriteString("].\n")
	return b.String()
}

func bootsFirst(a, b Release, boot string) int {
	switch boot {
	case a.Version:
		return -1
	case b.Version:
		return 1
	}
	return 0
}

func otpStatus(s State, version, boot string) term.Atom {
	switch version {
	case boot:
		return "permanent"
	case s.Current, s.Previous:
		return "old"
	}
	return "unpacked"
}

func releaseRecord(r Release, status term.Atom) term.Term {
	libs := term.List{}
	for _, lib := range r.Libs {
		libs = append(libs, term.Tuple{term.Atom(lib.App), term.String(lib.Version), term.String(lib.dir())})
	}
	return term.Tuple{
		term.Atom("release"), term.String(r.Name), term.String(r.Version), term.String(r.ERTS), libs, status,
	}
}
