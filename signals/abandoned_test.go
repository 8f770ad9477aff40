package signals

import (
	"os/exec"
	"slices"
	"testing"
)

func TestWhatAnAgentBeforeHasLeftInADirectoryIsKilled(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	begin := func(dir string, env ...string) *exec.Cmd {
		cmd := exec.Command("sleep", "1000")
		cmd.Dir, cmd.Env = dir, env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}
	node := begin(dir, "A=1", "MARKER=x", "B=2")
	others := []*exec.Cmd{begin(elsewhere, "MARKER=x"), begin(dir, "NO_MARKER=x"), begin(dir)}
	eventually(t, "the node shows its environment", func() bool { marked, _ := hasEnv(node.Process.Pid, "MARKER=x"); return marked })
	ended := EndAbandoned(t.Context(), "MARKER", dir)
	if want := []int{node.Process.Pid}; !slices.Equal(ended, want) {
		t.Errorf("ended are %v, want %v", ended, want)
	}
	if err := node.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("it ended with %v", err)
	}
	for _, other := range others {
		if _, alive := parent(other.Process.Pid); !alive {
			t.Errorf("%v is gone as well", other.Args)
		}
	}
}
