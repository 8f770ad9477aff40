package upgrade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"theseus/agent/erlexec"
)

// Start is what a node is started with beside its boot script and its sys.config: no installation changes any of it in a
// node that runs.
type Start struct {
	Args []string // the words of vm.args, filled in
	Env  string   // the text of env.sh
}

// ReadStart reads them in a release's directory, the flags in the file of this name: the boot reads vm.args.
func ReadStart(dir, args string) (Start, error) {
	flags, err := readFileIfThere(filepath.Join(dir, args))
	if err != nil {
		return Start{}, fmt.Errorf("cannot read %s: %w", args, err)
	}
	env, err := readFileIfThere(filepath.Join(dir, "env.sh"))
	if err != nil {
		return Start{}, fmt.Errorf("cannot read env.sh: %w", err)
	}
	return Start{Args: erlexec.Words(flags), Env: env}, nil
}

func readFileIfThere(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(content), err
}

// Flags names the flags of vm.args that differ in the next one, of which the values may be secrets.
func (s Start) Flags(next Start) []string { return changedFlags(s.Args, next.Args) }

// warnCold names what of the target waits for the next start of the node. It is told before the last installation of the way,
// and stands in the result.
func (a *attempt) warnCold() {
	if a.Starts == nil || a.way.restarts() {
		return
	}
	running, next, err := a.Starts(a.to)
	if err != nil {
		a.warn("cannot compare what %s is started with: %v", a.describeRelease(a.to), err)
		return
	}
	if flags := running.Flags(next); len(flags) > 0 {
		a.warn("vm.args differs in %s: that takes effect when the node is restarted", strings.Join(flags, ", "))
	}
	if running.Env != next.Env {
		a.warn("env.sh differs: that takes effect when the node is restarted")
	}
}

// changedFlags names the flags of which the values differ, in the order of their names. The values may be secrets, as that of
// -setcookie, so they are not shown.
func changedFlags(before, after []string) []string {
	old, now := flagsOf(before), flagsOf(after)
	var changed []string
	for name, values := range old {
		if !slices.Equal(values, now[name]) {
			changed = append(changed, name)
		}
	}
	for name := range now {
		if _, there := old[name]; !there {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// flagsOf has the values of each flag, one for each time that it is given: some count more than once, and some count first.
// The flags of one application or of -env are one for each key.
func flagsOf(words []string) map[string][]string {
	flags := map[string][]string{}
	for i := 0; i < len(words); {
		end := i + 1
		for end < len(words) && !isFlag(words[end]) {
			end++
		}
		note(flags, words[i], words[i+1:end])
		i = end
	}
	return flags
}

// note takes pairs for keys and their values, as -kernel and -env have them.
func note(flags map[string][]string, name string, values []string) {
	if len(values) == 0 || len(values)%2 == 1 || strings.HasPrefix(name, "+") {
		flags[name] = append(flags[name], strings.Join(values, " "))
		return
	}
	for pair := range slices.Chunk(values, 2) {
		key := name + " " + pair[0]
		flags[key] = append(flags[key], pair[1])
	}
}

// isFlag knows a flag from a value. A number is none, though it may begin with a sign.
func isFlag(word string) bool {
	return len(word) > 1 && (word[0] == '-' || word[0] == '+') && (word[1] < '0' || word[1] > '9')
}
