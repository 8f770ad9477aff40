// Package crash ends the real agent, with a real node, at each of its system calls that changes the volume, or has that
// call fail, and looks at what the next start makes of it. docs/reliability.md has the promise.
package crash

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"theseus/integration/images"
	"theseus/integration/need"
	"theseus/integration/program"
	"theseus/integration/repack"
)

// patience is how long a fact may take on a loaded machine.
const patience = 5 * time.Minute

// kit is what all cells use.
type kit struct {
	dir    string
	agent  string // the binary
	golden map[string]string
}

func (k *kit) pkg(version string) string {
	return filepath.Join(k.dir, "packages", "demo-"+version+".tar.gz")
}

// newKit builds the agent and the demo service, unless AGENT_TEST_KIT names a directory that has both.
func newKit(t *testing.T) *kit {
	t.Helper()
	if os.Getuid() != 0 {
		need.Missing(t, "root, for namespaces")
	}
	dir, err := os.MkdirTemp("", "crash-") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	k := &kit{dir: dir, agent: filepath.Join(dir, "agent"), golden: map[string]string{}}
	if made := os.Getenv("AGENT_TEST_KIT"); made != "" {
		must(t, exec.Command("cp", "-a", filepath.Join(made, "agent"), filepath.Join(made, "packages"), dir))
		k.cutRelup(t)
		return k
	}
	root, err := images.Root()
	if err != nil {
		t.Fatal(err)
	}
	program.Build(t, k.agent, "theseus/cmd/agent")
	must(t, exec.Command(filepath.Join(root, "integration", "demo", "build.sh"), filepath.Join(dir, "packages")))
	k.cutRelup(t)
	return k
}

// overSecond is the package of 1.2.0 to which the way from 1.0.0 leads over 1.1.0.
const overSecond = "1.2.0-over-1.1.0"

func (k *kit) cutRelup(t *testing.T) {
	t.Helper()
	if err := repack.File(k.pkg("1.2.0"), k.pkg(overSecond), repack.RelupFrom("1.1.0")); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
}

// body of an HTTP answer.
func body(answer string) string {
	_, text, _ := strings.Cut(answer, "\r\n\r\n")
	return strings.TrimSpace(text)
}
