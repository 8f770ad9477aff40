package volume

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The crash tests run each operation once on the model. Behind each change of the disk the power fails: the disk is
// found in one of the states that may survive, an agent starts from it, and what it finds and makes of it is held
// against what the operation had promised by then. The power fails behind each of its changes, too, and so on.

// moment is one at which the power may fail, and what must be true of any start after it.
type moment struct {
	disk  *model
	last  call
	want  promise
	trail []string
}

// promise is what an agent may rely on after a crash.
type promise struct {
	state   State // this one, or the one that was being written
	opened  bool  // there was a state at all
	damaged bool  // the files of a release were damaged from outside, and are not restored yet
	lines   int   // of history
	kept    kept  // reports
	relups  relups
}

// kept is what is kept under the two ids of reports: that, or what came after it.
type kept struct{ earlier, later string }

// relups are the derived ones of 1.1.0: what it has, and what it is to have when the operation under way is committed.
type relups struct{ has, gets string }

func (r *relups) commit() {
	if r.gets != "" {
		*r = relups{has: r.gets}
	}
}

// world is the part of a crash test that stays: the packages, the image, and a way to count.
type world struct {
	image    Image
	packages map[string][]byte // by version
	seed     string            // version of the image's package
	budget   []int             // how many states for each depth
	random   *rand.Rand
	states   *atomic.Int64
	seen     map[uint64]bool // those that were looked at
	mutant   mutation
}

// run is a volume in use: an operation of a test, or a start.
type run struct {
	w       *world
	v       *Volume
	disk    *model
	lines   int
	kept    kept
	relups  relups
	damaged bool
	opened  bool
	failed  bool     // a repair of its may not be durable: it is made again after a crash
	moments []moment // all of an operation, one of a start
	changes int
	before  promise
	trail   []string
	depth   int
}

// use opens a volume on the disk, and collects the moments at which it can crash.
func (w *world) use(disk *model, before promise, trail []string, depth int) (*run, error) {
	r := &run{w: w, disk: disk, depth: depth, lines: before.lines, kept: before.kept, relups: before.relups, damaged: before.damaged}
	ids := 0
	r.v = &Volume{root: modelRoot, disk: disk, Limits: DefaultLimits, ballast: 64, history: historyBytes, buffer: 4 << 10, newID: func() string {
		ids++
		return fmt.Sprintf("id%d%d-%04d", len(trail), depth, ids)
	}}
	disk.mutant = w.mutant
	if depth > 0 && w.mutant != nil && w.mutant.only() != "" {
		disk.mutant = nil
	}
	r.before, r.trail = before, trail
	disk.after = r.remember
	err := r.v.open()
	r.opened = err == nil
	return r, err
}

// remember keeps a moment; of a start only one, each with the same chance.
func (r *run) remember(last call) {
	r.changes++
	switch {
	case r.depth == len(r.w.budget):
		return
	case r.depth > 0 && r.w.random.IntN(r.changes) > 0 && (last.step != "running" || r.w.random.IntN(3) > 0):
		return
	case r.depth > 0:
		r.moments = r.moments[:0]
	}
	want := r.before
	if r.opened {
		want = promise{state: r.v.st, opened: true}
	}
	want.lines, want.kept, want.relups, want.damaged = r.lines, r.kept, r.relups, r.damaged
	r.moments = append(r.moments, moment{r.disk.clone(), last, want, r.trail})
}

func (r *run) history() error {
	err := r.v.RecordHistory(map[string]int{"n": r.lines}, true)
	if err == nil {
		r.lines++
	}
	return err
}

// explore crashes at a moment in as many ways as the depth allows, and in each start.
func (w *world) explore(m moment, depth int) error {
	for n := range w.budget[depth] {
		f := fate(n)
		switch {
		case depth > 0:
			f = fate(w.random.IntN(int(fates)))
		case f >= fates:
			f = prefixKept + fate(w.random.IntN(int(fates-prefixKept)))
		}
		trail := append(slices.Clip(m.trail), m.last.label()+", "+f.String())
		if err := w.restart(m.disk.crash(f, w.random, m.last), m.want, trail, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) restart(disk *model, want promise, trail []string, depth int) error {
	w.states.Add(1)
	id := disk.fingerprint(want)
	if w.seen[id] {
		return nil
	}
	w.seen[id] = true
	r, err := w.use(disk, want, trail, depth+1)
	if err == nil {
		err = r.checkFound(want)
	}
	if err == nil {
		err = r.checkStarted()
	}
	if err != nil {
		return &violation{trail, err}
	}
	if len(r.moments) > 0 {
		return w.explore(r.moments[0], depth+1)
	}
	return nil
}

// violation is a crash that broke the promise.
type violation struct {
	trail []string
	err   error
}

func (v *violation) Error() string { return strings.Join(v.trail, "\n") + ":\n" + v.err.Error() }

// crashEverywhere runs the operation, and explores each of its moments.
func (w *world) crashEverywhere(op operation) error {
	h := fnv.New64()
	h.Write([]byte(op.name))
	w.random, w.seen = rand.New(rand.NewPCG(h.Sum64(), 1)), map[uint64]bool{}
	disk, before, err := w.begin(op)
	if err != nil {
		return err
	}
	r, err := w.use(disk, before, nil, 0)
	if err == nil {
		err = op.do(r)
	}
	if err == nil && w.mutant != nil {
		err = w.mutant.end()
	}
	r.remember(call{step: "done"})
	if err != nil {
		return fmt.Errorf("without a crash: %w", err)
	}
	for _, m := range r.moments {
		if err := w.explore(m, 0); err != nil {
			return err
		}
	}
	return nil
}

// begin brings a volume to where the operation begins.
func (w *world) begin(op operation) (*model, promise, error) {
	disk, before := newModel(), promise{}
	if op.from == nil {
		return disk, before, nil
	}
	r, err := w.use(disk, before, nil, len(w.budget))
	if err == nil {
		err = op.from(r)
	}
	if err != nil {
		return nil, before, fmt.Errorf("cannot begin: %w", err)
	}
	disk.syncAll()
	return disk.clone(), promise{r.v.st, true, r.damaged, r.lines, r.kept, r.relups}, nil
}

func newWorld(t *testing.T, states *atomic.Int64, budget ...int) *world {
	t.Helper()
	w := &world{image: image(t), seed: "1.0.0", budget: budget, states: states, packages: map[string][]byte{}}
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0", "9.0.0"} {
		w.packages[version] = pack(t, thin(version))
	}
	w.packages["2.0.0"] = pack(t, full("2.0.0"))
	return w
}

// TestAnyCrashLeavesACompleteRelease is the promise of docs/reliability.md.
func TestAnyCrashLeavesACompleteRelease(t *testing.T) {
	var states, distinct atomic.Int64
	begun := time.Now()
	lessGarbage(t)
	t.Run("operations", func(t *testing.T) {
		for _, op := range operations {
			t.Run(op.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, &states, 96, 3, 1)
				synctest.Test(t, func(t *testing.T) {
					if err := w.crashEverywhere(op); err != nil {
						t.Fatal(err)
					}
					distinct.Add(int64(len(w.seen)))
				})
			})
		}
	})
	if states.Load() < 100_000 {
		t.Errorf("they are only %d crashed states", states.Load())
	}
	t.Logf("%d crashed states, %d of them different, in %v", states.Load(), distinct.Load(), time.Since(begun).Round(time.Millisecond))
}

// lessGarbage spends memory for speed.
func lessGarbage(t *testing.T) {
	before := debug.SetGCPercent(1600)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}
