package volume

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
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
	r := &run{w: w, disk: disk, depth: depth, lines: before.lines, damaged: before.damaged}
	ids := 0
	r.v = &Volume{root: modelRoot, disk: disk, Limits: DefaultLimits, ballast: 64, buffer: 4 << 10, newID: func() string {
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
	want.lines, want.damaged = r.lines, r.damaged
	r.moments = append(r.moments, moment{r.disk.clone(), last, want, r.trail})
}

func (r *run) history() error {
	err := r.v.RecordHistory(map[string]int{"n": r.lines}, true)
	if err == nil {
		r.lines++
	}
	return err
}

// receive, publish and the rest are what the agent does with the volume in an upgrade (agent/upgrade).

func (r *run) receive(version string) (Package, error) {
	return r.v.Receive(context.Background(), bytes.NewReader(r.w.packages[version]), nil)
}

func (r *run) unpack(version string, op *Operation) error {
	pkg, err := r.receive(version)
	if err != nil {
		return err
	}
	s, err := r.v.Stage(context.Background(), pkg, "demo", nil)
	if err != nil {
		return errors.Join(err, r.v.Discard(pkg))
	}
	if op != nil {
		err = r.v.Begin(*op)
	}
	if err == nil {
		_, err = s.Publish(r.w.image)
	}
	if err != nil {
		return errors.Join(err, s.Discard(), r.v.Discard(pkg))
	}
	return r.v.Link(r.w.image, version)
}

func (r *run) upgrade(from, to string) error {
	if err := r.unpack(to, &Operation{ID: "u", Kind: "upgrade", From: from, To: to, Phase: "unpacked"}); err != nil {
		return err
	}
	return r.commit(to)
}

// commit is the rest of an upgrade. release_handler scribbles into its records, without any sync.
func (r *run) commit(to string) error {
	for _, do := range []func() error{
		func() error { return r.v.Advance("installing") },
		r.history,
		func() error { return r.scribble("[{release,") },
		func() error { return r.v.Advance("probation") },
		r.v.Commit,
		func() error { return r.scribble("[{release,\"demo\"") },
		func() error { return r.v.Derive(to) },
		r.v.Finish,
		r.history,
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) takeBack(from, to string) error {
	return errors.Join(
		r.v.Abort(&Failure{Upgrade: "u", Reason: "test"}),
		r.v.Remove(to),
		r.v.Derive(from),
	)
}

func (r *run) scribble(content string) error {
	for _, name := range []string{"RELEASES", "start_erl.data", "new_start_erl.data"} {
		n, err := r.disk.find(r.v.Path(releaseDir, name))
		if err != nil {
			f, err := r.disk.Create("OTP", r.v.Path(releaseDir, name), 0o644)
			if err != nil {
				return err
			}
			n = f.(*modelWriter).n
		}
		n.data = []byte(content)
		n.changed()
	}
	return nil
}

func (r *run) seedVolume() error {
	if err := r.unpack(r.w.seed, nil); err != nil {
		return err
	}
	return r.v.Seed(r.w.seed, digestOf(r.w.packages[r.w.seed]))
}

// start is what the agent does with the volume when it starts (agent/prepare.go, agent/boot.go), and returns what boots.
func (r *run) start() (string, error) {
	v := r.v
	if _, err := v.Recover(); err != nil {
		return "", err
	}
	if err := r.settle(); err != nil {
		return "", err
	}
	if v.State().Current == "" {
		if err := r.seedVolume(); err != nil {
			return "", err
		}
	}
	boots := v.State().Current
	if err := v.Link(r.w.image, boots); err != nil {
		return "", err
	}
	if _, err := v.Repair(boots); err != nil {
		return "", err
	}
	r.damaged = r.damaged && (r.failed || r.v.wholeAll() != nil)
	return boots, errors.Join(r.history(), v.Derive(boots))
}

func (r *run) settle() error {
	op := r.v.State().Operation
	switch {
	case op == nil:
		return nil
	case op.Phase == PhaseCommitted:
		return r.v.Finish()
	}
	var failure *Failure
	if op.Phase == "installing" || op.Phase == "probation" {
		failure = &Failure{Upgrade: op.ID, Reason: "the node or the container ended"}
	}
	if err := r.v.Abort(failure); err != nil {
		return err
	}
	if to, there := r.v.State().Releases[op.To]; there && to.Permanent.IsZero() {
		return r.v.Remove(op.To)
	}
	return nil
}

// wholeAll verifies every recorded release, and its kept package.
func (v *Volume) wholeAll() error {
	for version, r := range v.st.Releases {
		if err := v.Verify(version); err != nil {
			return err
		}
		if kept, err := readFile(v.disk, v.packagePath(r.Package)); err != nil || digestOf(kept) != r.Package {
			return fmt.Errorf("the package of %s is not kept: %w", version, err)
		}
	}
	return nil
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

// checkFound holds what is found against what was promised: the state is the one before or behind the write in which the power
// failed, and everything that it records is there.
func (r *run) checkFound(want promise) error {
	got := r.v.st
	switch {
	case got.Generation == want.state.Generation && want.opened && !reflect.DeepEqual(got, want.state):
		return fmt.Errorf("the state is %+v, want %+v", got, want.state)
	case got.Generation != want.state.Generation && got.Generation != want.state.Generation+1:
		return fmt.Errorf("the state is of generation %d, want %d or the next", got.Generation, want.state.Generation)
	}
	if !want.damaged {
		if err := r.v.wholeAll(); err != nil {
			return err
		}
	}
	lines, err := r.v.History(0)
	if err != nil {
		return err
	}
	next := 0
	for _, line := range lines {
		var l struct{ N int }
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		if l.N == next {
			next++
		}
	}
	if next < want.lines {
		return fmt.Errorf("%d lines of history, want %d", next, want.lines)
	}
	return nil
}

// checkStarted starts, and looks at what boots and at all that is on the volume then.
func (r *run) checkStarted() error {
	found := r.v.st.Current
	boots, err := r.start()
	switch {
	case err != nil:
		return err
	case found != "" && boots != found:
		return fmt.Errorf("%s boots, the state has %s", boots, found)
	case r.v.st.Releases[boots].Permanent.IsZero():
		return fmt.Errorf("%s boots, and never was permanent", boots)
	}
	if !holds(r.disk, r.v.Path("releases/RELEASES"), []byte(encodeReleases(r.v.st, boots))) ||
		!holds(r.disk, r.v.Path("releases/start_erl.data"), []byte("13.1.5 "+boots)) {
		return errors.New("the records of OTP are not derived")
	}
	if want, got := r.v.expectedNames(), r.disk.list(); !slices.Equal(want, got) {
		return fmt.Errorf("on the volume is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	r.remember(call{step: "running"})
	if r.w.random.IntN(8) == 0 {
		return r.checkNextTry(boots)
	}
	return nil
}

// checkNextTry upgrades to something new.
func (r *run) checkNextTry(from string) error {
	r.disk.after = nil
	if err := r.upgrade(from, "9.0.0"); err != nil {
		return fmt.Errorf("the next upgrade: %w", err)
	}
	return r.v.Verify("9.0.0")
}

// expectedNames is all that a volume with this state should hold, and nothing else.
func (v *Volume) expectedNames() []string {
	names := map[string]bool{}
	add := func(path string) {
		for ; path != "."; path = filepath.Dir(path) {
			names[path] = true
		}
	}
	for _, name := range []string{
		"lib", "log", "releases/RELEASES", "releases/start_erl.data", ".agent/lock", ".agent/state.json", ".agent/history.jsonl",
		".agent/ballast", ".agent/packages", ".agent/stage", ".agent/trash",
	} {
		add(name)
	}
	for version, r := range v.st.Releases {
		manifest, _ := readFile(v.disk, v.Path(releaseDir, version, manifestName))
		entries, _ := decodeManifest(manifest)
		add(filepath.Join(releaseDir, version, manifestName))
		add(filepath.Join(agentDir, "packages", r.Package+".tar.gz"))
		for _, e := range entries {
			add(e.Path)
		}
		for _, p := range r.parts() {
			if !slices.Contains(r.Own, p.dir()) && (v.linked(version) || names[p.dir()]) {
				add(p.dir())
			}
		}
	}
	return sortTree(slices.Collect(maps.Keys(names)))
}

// linked tells whether the release is one that was prepared for a boot.
func (v *Volume) linked(version string) bool { return version == v.st.Current }

// sortTree sorts as a walk through the directories does.
func sortTree(paths []string) []string {
	slices.SortFunc(paths, func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})
	return paths
}

// operation is what is crashed: where it begins, and what it does.
type operation struct {
	name string
	from func(r *run) error // brings a blank volume to where it begins; nil for a volume that was never opened
	do   func(r *run) error
}

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
	return disk.clone(), promise{r.v.st, true, r.damaged, r.lines}, nil
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
				w := newWorld(t, &states, 64, 3, 1)
				synctest.Test(t, func(t *testing.T) {
					if err := w.crashEverywhere(op); err != nil {
						t.Fatal(err)
					}
					distinct.Add(int64(len(w.seen)))
				})
			})
		}
	})
	t.Logf("%d crashed states, %d of them different, in %v", states.Load(), distinct.Load(), time.Since(begun).Round(time.Millisecond))
}

// lessGarbage spends memory for speed.
func lessGarbage(t *testing.T) {
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}
