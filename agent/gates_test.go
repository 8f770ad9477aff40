package agent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"theseus/agent/api"
	"theseus/agent/upgrade"
)

// TestTheNodeCountsForOneAtATime: a check of the gates that ends while an upgrade is under way would end what that counts, too.
func TestTheNodeCountsForOneAtATime(t *testing.T) {
	k := keep(t, map[string]string{"1.0.0": waits})
	a := &agent{keeper: k.keeper, init: k.init, config: k.config}
	a.config.Gates = filepath.Join(t.TempDir(), "gates.toml")
	if err := os.WriteFile(a.config.Gates, []byte("[gates.crashes]\ncrashes = {most = 0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.boot.Store(&decision{})
	a.engine = &upgrade.Engine{Gates: a.gatesOf(nil).Read}
	node, err := k.launch(t.Context(), ruling{version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer k.end(node)
	a.engine.Counting.Lock()
	code := func() string {
		_, err := a.Gates(t.Context())
		e, _ := errors.AsType[*api.Error](err)
		return e.Code
	}
	if got := code(); got != api.CodeBusy {
		t.Errorf("the answer is %q", got)
	}
	a.engine.Counting.Unlock()
	if got := code(); got != api.CodeNodeDown { // which this one is to anybody who would count
		t.Errorf("the answer is %q afterwards", got)
	}
}
