package volume

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A crash test that finds nothing proves something only if it would have found it. So each sync is left out, and each order that
// matters is turned round: every one of these must be found.

// mutation does changes of the disk in another way.
type mutation interface {
	of(c call, change func() error) func() error
	only() string // the operation in which it does; empty: everywhere
	behind(c call) error
	end() error // of the operation
}

func isSync(c call) bool { return c.op == "fsync" || c.op == "sync directory" || c.op == "sync" }

// syncLabel names one sync of the package; those of several directories are several.
func syncLabel(c call) string {
	if c.op == "sync directory" {
		return c.label() + " " + filepath.Base(c.path)
	}
	return c.label()
}

// without a sync.
type leftOut struct{ sync string }

func (m leftOut) only() string      { return "" }
func (m leftOut) behind(call) error { return nil }
func (m leftOut) end() error        { return nil }
func (m leftOut) of(c call, change func() error) func() error {
	if isSync(c) && syncLabel(c) == m.sync {
		return func() error { return nil }
	}
	return change
}

// delayed does the first changes of these labels only behind the first one of another.
type delayed struct {
	name, operation string
	labels          []string
	until           string
	held            []func() error
	over            bool
}

func (m *delayed) only() string { return m.operation }

func (m *delayed) of(c call, change func() error) func() error {
	if m.over || !slices.Contains(m.labels, c.label()) {
		return change
	}
	m.held = append(m.held, change)
	return func() error { return nil }
}

func (m *delayed) behind(c call) error {
	if c.label() != m.until || len(m.held) == 0 {
		return nil
	}
	return m.end()
}

func (m *delayed) end() error {
	var errs []error
	for _, change := range m.held {
		errs = append(errs, change())
	}
	m.held, m.over = nil, true
	return errors.Join(errs...)
}

// orders are those in which it matters what comes first.
var orders = []*delayed{
	{
		name: "the state takes its place before its bytes are durable", operation: "remember a seed",
		labels: []string{"record the state: fsync"}, until: "record the state: rename",
	},
	{
		name: "the package takes its place before its bytes are durable", operation: "receive what is kept",
		labels: []string{"keep the package: fsync"}, until: "keep the package: rename",
	},
	{
		name: "the release is published before it is durable", operation: "unpack",
		labels: []string{"sync the stage: sync"}, until: "record the state: sync directory",
	},
	{
		name: "the release is recorded before its names are durable", operation: "unpack",
		labels: []string{"publish: sync directory"}, until: "record the state: sync directory",
	},
	{
		name: "the release is recorded before it is in its place", operation: "unpack",
		labels: []string{"publish: rename", "publish: sync directory"}, until: "record the state: sync directory",
	},
	{
		name: "the release is removed before it is forgotten", operation: "remove",
		labels: []string{"record the state: rename", "record the state: sync directory"}, until: "discard: rename",
	},
	{
		name: "the relup is placed before that is recorded", operation: "commit with a relup",
		labels: []string{"record the state: rename", "record the state: sync directory"}, until: "place the relup: rename",
	},
	{
		name: "the operation is over before its relup is away", operation: "take a relup away",
		labels: []string{"take the relup away: remove", "take the relup away: sync directory"}, until: "record the state: sync directory",
	},
	{
		name: "the operation is over before the relup that was there is back", operation: "bring a relup back",
		labels: []string{"take the relup away: rename", "take the relup away: sync directory"}, until: "record the state: sync directory",
	},
	{
		name: "the damaged release is restored before its bytes are durable", operation: "restore all",
		labels: []string{"sync the stage: sync"}, until: "restore: sync directory",
	},
	{
		name: "the release is booted before its boot is counted", operation: "count a boot",
		labels: []string{"record the state: fsync", "record the state: rename", "record the state: sync directory"}, until: "record the history: fsync",
	},
}

func TestEverySyncAndEveryOrderIsNeeded(t *testing.T) {
	lessGarbage(t)
	var states, found atomic.Int64
	syncs := allSyncs(t, newWorld(t, &states, 1))
	look := func(t *testing.T, name string, mutant mutation, ops []operation) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &states, 16, 3, 1)
			w.mutant = mutant
			by := w.foundBy(t, ops)
			if by == "" {
				w.budget = []int{64, 6, 2}
				by = w.foundBy(t, ops)
			}
			if by == "" {
				t.Fatal("nothing notices it: it is not needed, or the crash tests are too weak")
			}
			t.Log("found by " + by)
			found.Add(1)
		})
	}
	t.Run("mutants", func(t *testing.T) {
		for _, label := range syncs {
			look(t, "without "+label, leftOut{label}, operations)
		}
		for _, order := range orders {
			look(t, order.name, order, named(order.operation))
		}
	})
	t.Logf("%d of %d mutants found, with %d crashed states", found.Load(), len(syncs)+len(orders), states.Load())
}

func named(name string) []operation {
	return slices.DeleteFunc(slices.Clone(operations), func(op operation) bool { return op.name != name })
}

// foundBy names the first operation whose crash test fails.
func (w *world) foundBy(t *testing.T, ops []operation) (by string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for _, op := range ops {
			if by != "" {
				break
			}
			err := w.crashEverywhere(op)
			if _, is := errors.AsType[*violation](err); is {
				by = op.name
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
	return by
}

// allSyncs lists every sync that any operation does.
func allSyncs(t *testing.T, w *world) []string {
	t.Helper()
	labels := recorder{}
	w.mutant = labels
	if by := w.foundBy(t, operations); by != "" {
		t.Fatalf("%s fails without a mutant", by)
	}
	return slices.Sorted(maps.Keys(labels))
}

// recorder changes nothing.
type recorder map[string]bool

func (r recorder) only() string      { return "" }
func (r recorder) behind(call) error { return nil }
func (r recorder) end() error        { return nil }
func (r recorder) of(c call, change func() error) func() error {
	if isSync(c) {
		r[syncLabel(c)] = true
	}
	return change
}
