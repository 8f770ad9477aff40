package crash

import (
	"fmt"
	"maps"
	"slices"
)

// operation is what the agent is in the middle of when it is hit.
type operation struct {
	name    string
	golden  string              // the volume that it begins with
	env     []string            //
	asks    func(*kit) []string // who asks for it; nil: it is a part of the agent's start
	from    string              // what boots before its commit
	to      string              // and after it
	removes []string
}

// Golden volumes.
const (
	empty  = "empty"
	first  = "1.0.0"
	second = "1.0.0 1.1.0"
	third  = "1.0.0 1.1.0 1.2.0"
	later  = "1.0.0, and 1.1.0 for later"
	wreck  = "an upgrade that died before its commit"
)

var operations = []*operation{
	{name: "seed", golden: empty, to: "1.0.0"},
	{name: "upgrade", golden: first, from: "1.0.0", to: "1.1.0", asks: upgradeTo("1.1.0")},
	{name: "unpack", golden: first, from: "1.0.0", to: "1.0.0", asks: func(k *kit) []string { return []string{"unpack", k.pkg("1.1.0")} }},
	{name: "upgrade over another", golden: later, from: "1.0.0", to: "1.2.0", asks: upgradeTo(overSecond)},
	{name: "rollback", golden: second, from: "1.1.0", to: "1.0.0", asks: words("rollback")},
	{name: "remove", golden: third, from: "1.2.0", to: "1.2.0", asks: words("remove", "1.0.0"), removes: []string{"1.0.0"}},
	{name: "collect", golden: third, from: "1.2.0", to: "1.2.0", env: []string{"AGENT_KEEP_RELEASES=2"}, removes: []string{"1.0.0"}},
	{name: "recovery", golden: wreck, from: "1.0.0", to: "1.0.0"},
}

func words(words ...string) func(*kit) []string { return func(*kit) []string { return words } }

func upgradeTo(version string) func(*kit) []string {
	return func(k *kit) []string { return []string{"upgrade", k.pkg(version)} }
}

// makeGolden makes the volumes that operations begin with.
func (c *cell) makeGolden() error {
	c.golden[empty] = ""
	volume, err := c.copyOf("")
	if err != nil {
		return err
	}
	l, err := c.born(volume, false)
	if err == nil {
		err = l.boots()
	}
	for _, stage := range []struct{ name, next string }{{first, "1.1.0"}, {second, "1.2.0"}, {third, ""}} {
		if err == nil {
			err = c.keepGolden(stage.name, volume)
		}
		if err == nil && stage.next != "" {
			_, err = l.must("upgrade", c.pkg(stage.next))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot make the golden volumes: %w", err)
	}
	if err := l.end(); err != nil {
		return err
	}
	if err := c.makeLater(); err != nil {
		return fmt.Errorf("cannot make the golden volumes: %w", err)
	}
	return c.makeWreck()
}

// makeLater has a release unpacked, and not installed.
func (c *cell) makeLater() error {
	volume, err := c.copyOf(c.golden[first])
	if err != nil {
		return err
	}
	l, err := c.born(volume, false)
	if err == nil {
		err = l.boots()
	}
	if err == nil {
		_, err = l.must("unpack", c.pkg("1.1.0"))
	}
	if err == nil {
		err = l.end()
	}
	if err != nil {
		return err
	}
	return c.keepGolden(later, volume)
}

func (c *cell) keepGolden(name, volume string) error {
	c.golden[name] = c.kit.dir + "/golden " + name
	return c.tool("cp", "-a", volume, c.golden[name])
}

// makeWreck has an upgrade die at its commit.
func (c *cell) makeWreck() error {
	volume, err := c.copyOf(c.golden[first])
	if err != nil {
		return err
	}
	s := shot{operation: operations[1], fault: killContainer}
	t, err := c.aim(nil, s, volume)
	if err != nil {
		return err
	}
	t.chosen = func(ch *change) bool {
		return ch.op == "rename" && ch.to == ".agent/state.json" && ch.step == "node.installed"
	}
	if err := t.fly(); err != nil {
		return err
	}
	if err := t.end(); err != nil {
		return err
	}
	return c.keepGolden(wreck, volume)
}

// begins says that an operation can begin on a volume with this record.
func (o *operation) begins(r record, golden record) bool {
	return o.asks != nil && r.Current == golden.Current && r.Previous == golden.Previous &&
		slices.Equal(slices.Sorted(maps.Keys(r.Releases)), slices.Sorted(maps.Keys(golden.Releases)))
}
