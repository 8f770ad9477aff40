package volume

import (
	"strings"
	"testing"
)

// TestAStateStaysReadableForTheAgentBefore until it holds what that one does not know.
func TestAStateStaysReadableForTheAgentBefore(t *testing.T) {
	v := seeded(t)
	if text := read(t, v.statePath()); !strings.Contains(text, `"schema":3,`) {
		t.Errorf("before it has run well: %s", text)
	}
	must(t, v.Prove("1.0.0"))
	if text := read(t, v.statePath()); !strings.Contains(text, `"schema":1,`) || strings.Contains(text, "signer") || strings.Contains(text, "unproven") {
		t.Errorf("without a signature: %s", text)
	}
	s := stage(t, v, thin("1.1.0"))
	s.Release.Signer = Signer{Key: "A1B09E6AB160B661", Comment: "demo 1.1.0"}
	if _, err := s.Publish(image(t)); err != nil {
		t.Fatal(err)
	}
	if text := read(t, v.statePath()); !strings.Contains(text, `"schema":2,`) {
		t.Errorf("with one: %s", text)
	}
	v = crash(t, v)
	if got := v.State().Releases["1.1.0"].Signer; got != s.Release.Signer {
		t.Errorf("read back: %+v", got)
	}
	must(t, v.Remove("1.1.0"))
	if text := read(t, v.statePath()); !strings.Contains(text, `"schema":1,`) {
		t.Errorf("when it is gone again: %s", text)
	}
}
