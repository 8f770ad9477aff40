package agent

import (
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"theseus/agent/family"
	"theseus/agent/printable"
)

// Crash dumps on the volume: what a launch leaves of the earlier ones, so that with the one that may come there are at
// most five, and half a gigabyte (the node's own are cut at 256 MiB, nodeEnv).
const (
	dumpsKept = 4
	dumpBytes = 256 << 20
	dumpHead  = 4096 // of a dump, where its slogan is
)

// clockTick is how far the times of files lag behind the clock (Linux: current_time, jiffies).
const clockTick = 10 * time.Millisecond

const crashDump = "ERL_CRASH_DUMP" // the variable that says where the node writes one (erts: erl_crash_dump)

// dumpInto makes room for the dump of a node that is launched now, and adds where it goes to the environment. An
// environment that says it already is left alone. A directory that cannot be tidied is no reason not to launch.
func (k *keeper) dumpInto(environ []string) (path string, with []string) {
	if path := family.Lookup(environ, crashDump); path != "" {
		return path, environ
	}
	if err := k.dumps.tidy(k.first); err != nil {
		k.journal.log.Error("cannot remove old crash dumps", "err", err)
	}
	path = k.dumps.path(time.Now())
	return path, append(slices.Clip(environ), crashDump+"="+path)
}

// dumps is where the crash dumps of all incarnations are.
type dumps struct{ dir string }

// path is where an incarnation that is launched now writes its dump. Names sort by time, and no two are the same.
func (d dumps) path(now time.Time) string {
	return filepath.Join(d.dir, "erl_crash-"+now.UTC().Format("20060102T150405.000")+".dump")
}

// tidy removes the oldest dumps that are too many or too big. The one named first stays: in a row of crashes the first
// tells most.
func (d dumps) tidy(first string) error {
	list, err := filepath.Glob(filepath.Join(d.dir, "erl_crash*.dump"))
	kept, size := 0, int64(0)
	if info, stat := os.Lstat(first); stat == nil {
		kept, size = 1, info.Size()
	}
	for i := len(list) - 1; i >= 0; i-- { // Glob sorts, newest last
		info, stat := os.Lstat(list[i])
		if stat != nil || list[i] == first {
			continue
		}
		if kept++; kept > dumpsKept || size+info.Size() > dumpBytes {
			err = errors.Join(err, os.Remove(list[i]))
			continue
		}
		size += info.Size()
	}
	return err
}

// slogan is the reason that a dump gives for itself; there says that there is one that was written since.
func slogan(path string, since time.Time) (text string, there bool) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return "", false
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.ModTime().Before(since.Add(-clockTick)) {
		return "", false
	}
	head, _ := io.ReadAll(io.LimitReader(file, dumpHead))
	_, text, _ = strings.Cut(string(head), "\nSlogan: ")
	text, _, _ = strings.Cut(text, "\nSystem version:")
	return cmp.Or(printable.Line(text), "it names none"), true
}
