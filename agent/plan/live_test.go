package plan

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"theseus/integration/need"
)

// told is what a part of the answer is of a node that has evaluated what prepares it, and then the script.
func told(t *testing.T, prepare string, q question, part string) string {
	t.Helper()
	need.Tool(t, "erl")
	file := filepath.Join(t.TempDir(), "live")
	source := prepare + "Told = begin " + strings.TrimSuffix(strings.TrimSpace(q.source()), ".") + " end,\n" + `io:format("~0tp", [maps:get(` + part + `, Told)]), halt(0).`
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "erl", "-noinput", "-eval", `io:format("~0tp", [file:script("`+file+`")]), halt(1).`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return string(said)
}

func TestALookThatFailsIsNotOneThatFindsNothing(t *testing.T) {
	t.Parallel()
	const want = `[<<"which release release_handler believes to run: the look failed">>]`
	if got := told(t, "", question{}, "unknown"); got != want { // sasl does not run
		t.Errorf("a node without release_handler says %s, not %s", got, want)
	}
}

func TestOnlySoManyProcessesAreLookedAt(t *testing.T) {
	t.Parallel()
	const crowd = "[spawn(fun() -> receive after infinity -> ok end end) || _ <- lists:seq(1, 20000)],\n"
	if got := told(t, crowd, question{touched: []string{"lists"}}, "unknown"); !strings.Contains(got, "20000 of 200") {
		t.Errorf("of a crowd a node says %s", got)
	}
}
