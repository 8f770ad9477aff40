package volume

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"
)

// fault makes one call of an operation fail.
type fault struct {
	errno unix.Errno
	stays bool // all later ones fail, too, until the operation is over: the kernel has made the disk read-only
	at    int
	calls int
	hit   call
}

func (f *fault) before(c call) error {
	if c.step == "OTP" {
		return nil
	}
	f.calls++
	switch {
	case f.calls-1 == f.at:
		f.hit = c
		return f.errno
	case f.calls > f.at && f.stays:
		return f.errno
	}
	return nil
}

// TestAnyErrorOfTheDiskChangesNothing makes each call of each operation fail once. The operation says so, nothing that was
// promised is lost, what it took is given back, and the same agent, or the next one, can go on.
func TestAnyErrorOfTheDiskChangesNothing(t *testing.T) {
	lessGarbage(t)
	var states, faults atomic.Int64
	t.Run("operations", func(t *testing.T) {
		for _, op := range operations {
			t.Run(op.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, &states, 1)
				synctest.Test(t, func(t *testing.T) {
					for _, f := range []fault{{errno: unix.ENOSPC}, {errno: unix.EIO}, {errno: unix.EROFS}, {errno: unix.EROFS, stays: true}, {errno: unix.EMFILE}} {
						n, err := w.failEverywhere(op, f)
						if err != nil {
							t.Fatal(err)
						}
						faults.Add(int64(n))
					}
				})
			})
		}
	})
	t.Logf("%d errors of the disk, and %d crashes after them", faults.Load(), states.Load())
}

// failEverywhere lets each call of the operation fail in turn, and returns how many there are.
func (w *world) failEverywhere(op operation, f fault) (int, error) {
	h := fnv.New64()
	h.Write([]byte(op.name))
	w.random, w.seen = rand.New(rand.NewPCG(h.Sum64(), uint64(f.errno))), map[uint64]bool{}
	disk, before, err := w.begin(op)
	if err != nil {
		return 0, err
	}
	for at := 0; ; at++ {
		f.at, f.calls, f.hit = at, 0, call{}
		err := w.failOnce(op, disk.clone(), before, &f)
		if err != nil {
			return at, fmt.Errorf("%w at %s %s: %w", f.errno, f.hit.label(), f.hit.path, err)
		}
		if f.hit.op == "" {
			return at, nil // there are no more
		}
	}
}

func (w *world) failOnce(op operation, disk *model, before promise, f *fault) error {
	if op.from == nil {
		disk.before = f.before
	}
	left := leftovers(disk)
	r, err := w.use(disk, before, nil, len(w.budget))
	disk.before = f.before
	if err == nil {
		err = op.do(r)
	}
	disk.before = nil
	switch {
	case err != nil && !errors.Is(err, f.errno):
		return fmt.Errorf("the error does not name its cause: %w", err)
	case err != nil && !strings.Contains(err.Error(), "cannot "):
		return fmt.Errorf("the error does not say what could not be done: %w", err)
	case disk.asked:
		return errors.New("an fsync was tried again after an error of it")
	}
	if !r.opened {
		return w.restart(disk, before, []string{"the volume could not be opened"}, 0)
	}
	if got := leftovers(disk); f.hit.op != "remove" && !f.stays && len(got) > len(left) {
		return fmt.Errorf("left behind: %v, after %w", got, err)
	}
	want := promise{r.v.st, true, r.damaged, r.lines, r.kept, r.relups}
	for _, fate := range []fate{killed, prefixKept + fate(w.random.IntN(int(fates-prefixKept)))} {
		trail := []string{fmt.Sprintf("after %v, %v", err, fate)}
		if err := w.restart(disk.crash(fate, w.random, call{}), want, trail, 0); err != nil {
			return err
		}
	}
	if !f.stays {
		if err := r.checkState(); err != nil {
			return err
		}
	}
	if err != nil {
		return r.goOn()
	}
	return nil
}

func (r *run) checkState() error {
	content, err := readFile(r.disk, r.v.statePath())
	if want, _ := encodeState(r.v.st); err != nil || string(content) != string(want) {
		return errors.New("on the disk is another state than the one that is believed")
	}
	return nil
}

// goOn takes back with the same agent what could not be done, and starts from there. The power may fail meanwhile.
func (r *run) goOn() error {
	r.failed = true
	r.depth, r.before, r.moments = 0, promise{state: r.v.st, damaged: r.damaged, lines: r.lines, kept: r.kept, relups: r.relups}, nil
	if err := r.settle(); err != nil {
		return fmt.Errorf("it cannot be taken back: %w", err)
	}
	if err := r.checkStarted(); err != nil {
		return err
	}
	for n, m := range r.moments {
		if n%16 == r.w.random.IntN(16) {
			if err := r.w.restart(m.disk.crash(subsetKept, r.w.random, m.last), m.want, []string{"while it is taken back"}, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftovers lists what is there for the time of an operation only.
func leftovers(m *model) []string {
	return slices.DeleteFunc(m.list(), func(name string) bool {
		return !strings.HasPrefix(name, ".agent/stage/") && !strings.HasPrefix(name, ".agent/trash/") &&
			!strings.HasSuffix(name, partSuffix) && !strings.HasSuffix(name, temporarySuffix)
	})
}
