package agent

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/agent/upgrade"
)

// TestAComparisonIsOfOneNodeWithOneRelease: nothing is told where either was another at its end, though the version is the same.
func TestAComparisonIsOfOneNodeWithOneRelease(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits, "1.1.0": waits})
	a := &agent{keeper: k.keeper, engine: &upgrade.Engine{}}
	launch := func() *incarnation {
		node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	end := func(node *incarnation) {
		_ = node.process.Signal(unix.SIGKILL)
		<-node.Ended()
		node.heart.Close()
	}
	compared := func(meanwhile func()) string {
		t.Helper()
		of, err := k.compared()
		if err != nil {
			t.Fatal(err)
		}
		meanwhile()
		if err := a.unchanged(of); err != nil {
			e, _ := errors.AsType[*api.Error](err)
			return e.Code
		}
		return ""
	}
	node := launch()
	if _, err := a.Drift(t.Context()); err == nil || err.Error() != "cannot compare the node with its release: the node is booting" {
		t.Errorf("while it boots: %v", err)
	}
	up := func() { k.update(func() { k.node.up = true }) }
	up()
	for _, c := range []struct {
		about, code string
		meanwhile   func()
	}{
		{"nothing", "", func() {}},
		{"an upgrade and the way back", api.CodeBusy, func() { k.Upgraded(node, "1.1.0"); k.Upgraded(node, "1.0.0") }},
		{"the node's end", api.CodeNodeDown, func() { end(node) }},
	} {
		if got := compared(c.meanwhile); got != c.code {
			t.Errorf("%s: the answer is %q, want %q", c.about, got, c.code)
		}
	}
	node = launch()
	up()
	if got := compared(func() { end(node); node = launch(); up() }); got != api.CodeNodeDown {
		t.Errorf("a restart into the same version: the answer is %q", got)
	}
	end(node)
}
