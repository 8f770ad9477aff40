package volume

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"math/rand/v2"
	"slices"
)

// fate is what becomes of a disk at the moment of a crash.
type fate int

const (
	killed      fate = iota // the agent alone is gone: all is there, and what was not synced may still be lost later
	killedTorn              // likewise, in the middle of a write
	nothingKept             // nothing but what was synced
	namesKept               // all names, but of the bytes only those that were synced: empty files
	allKept                 // all of it
	prefixKept              // the names up to a moment, as a journal does it; of the bytes anything
	subsetKept              // any of the changed names, in any combination; of the bytes anything
	dirsKept                // in each directory all changes or none
	fates
)

func (f fate) String() string {
	return [...]string{"killed", "killed in a write", "nothing kept", "names kept", "all kept", "prefix kept", "subset kept", "directories kept"}[f]
}

// cloner copies a model; what one copy does is not seen by another.
type cloner map[*node]*node

func (m *model) clone() *model {
	c := cloner{}
	copied := &model{top: c.node(m.top), pending: make([]change, 0, len(m.pending)+8)}
	for _, p := range m.pending {
		copied.pending = append(copied.pending, change{c.node(p.node), c.node(p.from), c.node(p.to), p.name})
	}
	return copied
}

func (c cloner) node(n *node) *node {
	if n == nil {
		return nil
	}
	if known, ok := c[n]; ok {
		return known
	}
	copied := *n
	c[n] = &copied
	copied.home = c.node(n.home)
	copied.names, copied.kept = c.names(n.names), c.names(n.kept)
	return &copied
}

func (c cloner) names(names map[string]*node) map[string]*node {
	if names == nil {
		return nil
	}
	copied := make(map[string]*node, len(names))
	for name, n := range names {
		copied[name] = c.node(n)
	}
	return copied
}

// crash returns what is found after a crash at this moment.
func (m *model) crash(f fate, random *rand.Rand, last call) *model {
	m = m.clone()
	switch f {
	case killed:
		return m
	case killedTorn:
		if n, err := m.find(last.path); err == nil && last.op == "write" {
			n.data = n.data[:last.size+random.IntN(len(n.data)-last.size+1)]
		}
		return m
	case namesKept, allKept:
		m.keep(func(int, change) bool { return true })
	case prefixKept:
		end := random.IntN(len(m.pending) + 1)
		m.keep(func(n int, _ change) bool { return n < end })
	case subsetKept:
		m.keep(func(int, change) bool { return random.IntN(2) == 0 })
	case dirsKept:
		chosen := map[*node]bool{}
		m.keep(func(_ int, c change) bool {
			dir := c.to
			if dir == nil {
				dir = c.from
			}
			if _, decided := chosen[dir]; !decided {
				chosen[dir] = random.IntN(2) == 0
			}
			return chosen[dir]
		})
	}
	m.pending = nil
	m.top.reboot(f, random)
	return m
}

func (m *model) keep(kept func(n int, c change) bool) {
	for n, c := range m.pending {
		if kept(n, c) {
			c.apply()
		}
	}
}

// reboot makes what was kept all that there is.
func (n *node) reboot(f fate, random *rand.Rand) {
	if n.mode.IsDir() {
		n.names = make(map[string]*node, len(n.kept))
		for _, name := range sortedNames(n.kept) {
			n.names[name] = n.kept[name]
			n.kept[name].reboot(f, random)
		}
		return
	}
	switch {
	case n.synced:
	case f == allKept && !n.lost:
	case f == nothingKept, f == namesKept, n.lost:
		n.data, n.mode = n.keptData, n.keptMode
	default:
		n.tear(random)
	}
	n.keptData, n.keptMode, n.synced, n.lost = n.data, n.mode, true, false
}

// tear leaves of the bytes that were not synced what file systems are known to leave.
func (n *node) tear(random *rand.Rand) {
	if random.IntN(2) == 0 {
		n.mode = n.keptMode
	}
	least := min(len(n.keptData), len(n.data))
	cut := least + random.IntN(len(n.data)-least+1)
	switch random.IntN(4) {
	case 0:
		n.data = n.keptData
	case 1:
		n.data = n.data[:cut]
	case 2: // the size was written, the rest of the bytes was not
		n.data = slices.Concat(n.data[:cut], make([]byte, len(n.data)-cut))
	}
}

func sortedNames(names map[string]*node) []string {
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

// list names everything below a directory.
func (m *model) list() []string {
	n, err := m.find(modelRoot)
	if err != nil {
		return []string{fmt.Sprint(err)}
	}
	return n.list("", nil)
}

func (n *node) list(prefix string, names []string) []string {
	for _, name := range sortedNames(n.names) {
		names = append(names, prefix+name)
		names = n.names[name].list(prefix+name+"/", names)
	}
	return names
}

// fingerprint is the same for disks that are the same and have the same to fulfil.
func (m *model) fingerprint(want promise) uint64 {
	type key struct {
		disk, generation uint64
		opened, damaged  bool
		lines, pending   int
		kept             kept
		relups           relups
	}
	return maphash.Comparable(fingerprints, key{m.top.fingerprint(), want.state.Generation, want.opened, want.damaged, want.lines, len(m.pending), want.kept, want.relups})
}

var fingerprints = maphash.MakeSeed()

// fingerprint is of all that is below the node. What is kept under a name beside what is there counts with its own bytes.
func (n *node) fingerprint() uint64 {
	type key struct {
		name           string
		mode, keptMode fs.FileMode
		below, kept    uint64
	}
	id := maphash.Bytes(fingerprints, n.data)
	for name, child := range n.names {
		kept := uint64(0)
		if n.kept[name] == child {
			kept = 1
		}
		id += maphash.Comparable(fingerprints, key{name, child.mode, child.keptMode, child.fingerprint(), kept})
	}
	for name, child := range n.kept {
		if n.names[name] != child {
			id += maphash.Comparable(fingerprints, key{"kept " + name, child.mode, child.keptMode, maphash.Bytes(fingerprints, child.keptData), 2})
		}
	}
	if !n.synced {
		id += maphash.Bytes(fingerprints, n.keptData) + 1
	}
	return id
}
