package signals

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever waits for children beside the reaper steals statuses, or has them stolen; whoever starts a process
// beside the doors makes one that the reaper takes for an orphan. So the whole repository is read, and these
// are all the places.
var doors = []string{
	"agent/plugin/client.go: exec.Command",         // of agent-plugin, which is never PID 1
	"cmd/agent/remote.go: exec.Cmd",                // a shell on its caller's terminal, which is never PID 1
	"cmd/agent/remote.go: exec.Command",            //
	"signals/nofile.go: syscall.Exec",              // puts the limit back, and executes nothing
	"signals/process.go: os.StartProcess",          // the door of the node
	"signals/raw.go: syscall.ForkExec",             // the door of any other command, and the same without its terminal
	"signals/raw_child.go: syscall.Wait4",          // its reaper
	"signals/raw_exec.go: syscall.Exec",            // becomes the command
	"signals/raw_stragglers.go: unix.Wait4",        // the reaper of what it left
	"signals/reap.go: unix.Wait4",                  // the reaper beside the node
	"signals/reap.go: unix.Waitid",                 // looks without taking
	"signals/init.go: unix.PR_SET_CHILD_SUBREAPER", // has orphans come
	"signals/raw.go: unix.PR_SET_CHILD_SUBREAPER",
}

// guarded are the names that start processes, wait for them, or move orphans, by the path of their package.
var guarded = map[string][]string{
	"os/exec":               {"Command", "CommandContext", "Cmd"},
	"os":                    {"StartProcess"},
	"syscall":               waysIn,
	"golang.org/x/sys/unix": append([]string{"PR_SET_CHILD_SUBREAPER"}, waysIn...),
}

var waysIn = []string{
	"Exec", "ForkExec", "StartProcess", "Wait4", "Waitid", "SYS_WAIT4", "SYS_WAITID", "SYS_FORK", "SYS_VFORK",
	"SYS_CLONE", "SYS_CLONE3", "SYS_EXECVE", "SYS_EXECVEAT",
}

// elsewhere is code that does not run in PID 1.
func elsewhere(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "integration/") || strings.HasPrefix(path, "bench/")
}

func TestNobodyElseStartsProcessesOrWaitsForThem(t *testing.T) {
	var found []string
	files := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		path, _ = filepath.Rel("..", path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains([]string{".git", "bin", "build", "testdata"}, entry.Name()) || elsewhere(path+"/")):
			return filepath.SkipDir // where other tests may be at work
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || elsewhere(path):
			return nil
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, use := range uses(file) {
			found = append(found, path+": "+use)
		}
		return nil
	})
	if err != nil || files < 50 {
		t.Fatalf("%d files were read, %v", files, err)
	}
	want := slices.Sorted(slices.Values(doors))
	slices.Sort(found)
	if diff := cmp.Diff(want, slices.Compact(found)); diff != "" {
		t.Errorf("doors (-known +found):\n%s", diff)
	}
}

// uses are the guarded names in a file, and imports that would hide them.
func uses(file *ast.File) (list []string) {
	packages := make(map[string]string) // by the name that they have in the file
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if guarded[path] == nil {
			continue
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			list = append(list, ". "+path)
		}
		packages[name] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if left, ok := selector.X.(*ast.Ident); ok && slices.Contains(guarded[packages[left.Name]], selector.Sel.Name) {
			path := packages[left.Name]
			list = append(list, path[strings.LastIndex(path, "/")+1:]+"."+selector.Sel.Name)
		}
		return true
	})
	return list
}

func TestAProcessThatIsStartedBesideTheDoorsIsFound(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
		import ("os"; run "os/exec"; . "syscall"; "golang.org/x/sys/unix")
		func f() { run.Command("true").Run(); var c run.Cmd; os.StartProcess("", nil, nil); unix.Wait4(-1, nil, 0, nil); os.Open("") }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{". syscall", "exec.Command", "exec.Cmd", "os.StartProcess", "unix.Wait4"}
	if diff := cmp.Diff(want, uses(file)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
