// Package relup makes what leads a node from one release to another where nobody has: from the appups of the applications,
// and for those that have none from a comparison of their modules. OTP's own systools and beam_lib do that, in an emulator
// that is thrown away; what may be derived, and what not, is decided here.
package relup

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"theseus/rpc/term"
	"theseus/signals"
)

//go:embed facts.erl
var factsScript string

//go:embed make.erl
var makeScript string

// Release is one whose files are there to be read.
type Release struct {
	Name, Version string
	RelFile       string            // absolute
	Ebins         map[string]string // of each of its applications, absolute
	Versions      map[string]string // of each of its applications
}

// VM is how an emulator is started that is thrown away: with the OTP of ROOT, and nothing but kernel and stdlib.
type VM struct {
	Erlexec string // of an ERTS
	Root    string // that has lib/ and bin/, ROOTDIR
	Boot    string // without its suffix; as small as there is
	Start   Starter
	Scratch string // an empty directory, for what is left to the caller to remove
}

// runTimeout is for one look at the modules of a release, or one relup.
const runTimeout = 2 * time.Minute

// Starter starts a process, as the one door does (signals.Init.Start).
type Starter func(signals.Command) (*signals.Process, error)

// Made is a relup, and how it came about.
type Made struct {
	Relup    []byte            // of the new release; it leads up from the old one, and not back
	Derived  map[string]string // the appup of each application for which one was derived, by its name
	Warnings []string          // of systools
}

// UnderivableError says why there is none: then a restart is the way.
type UnderivableError struct{ Reasons []string }

func (e *UnderivableError) Error() string {
	return "no relup can be derived: " + strings.Join(e.Reasons, "; ")
}

// Make makes the relup from old to new. The way back is not derived: it would have to know how the older code takes a state
// of the newer one.
func Make(ctx context.Context, vm VM, old, new Release) (Made, error) {
	changed := changedApps(old, new)
	before, after, err := vm.compare(ctx, old, new, changed)
	if err != nil {
		return Made{}, err
	}
	made := Made{Derived: map[string]string{}}
	var reasons []string
	for _, name := range changed {
		if after[name].appup {
			continue
		}
		instructions, reason := derive(before[name], after[name])
		if reason != "" {
			reasons = append(reasons, reason)
			continue
		}
		made.Derived[name] = appup(old.Versions[name], new.Versions[name], instructions)
	}
	if len(reasons) > 0 {
		return Made{}, &UnderivableError{reasons}
	}
	made.Relup, made.Warnings, err = vm.make(ctx, old, new, made.Derived)
	return made, err
}

// changedApps are the applications that both releases have, in different versions.
func changedApps(old, new Release) (names []string) {
	for name, version := range new.Versions {
		if was, there := old.Versions[name]; there && was != version {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// appup is the text of one that leads up from one version, an instruction a line.
func appup(from, to string, instructions []term.Term) string {
	lines := make([]string, 0, len(instructions))
	for _, i := range instructions {
		lines = append(lines, "    "+term.Format(i))
	}
	return fmt.Sprintf("{%s,\n [{%s, [\n%s\n ]}],\n []}.\n", term.Format(term.String(to)), term.Format(term.String(from)), strings.Join(lines, ",\n"))
}

// compare learns of both releases what is known of the applications that change. Each is asked with its own code.
func (vm VM) compare(ctx context.Context, old, new Release, changed []string) (before, after map[string]app, err error) {
	before, err = vm.facts(ctx, old, changed, nil)
	if err == nil {
		after, err = vm.facts(ctx, new, changed, old.Versions)
	}
	return before, after, err
}

func (vm VM) facts(ctx context.Context, r Release, apps []string, from map[string]string) (map[string]app, error) {
	out := filepath.Join(vm.Scratch, "facts-"+r.Version)
	args := []string{out}
	for _, name := range apps {
		args = append(args, name+"="+r.Ebins[name]+"="+from[name])
	}
	said, err := vm.run(ctx, "facts.erl", factsScript, r.ebins(), args)
	if err != nil {
		return nil, fmt.Errorf("cannot read the applications of %s %s: %w", r.Name, r.Version, err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("cannot read the applications of %s %s: %s", r.Name, r.Version, said)
	}
	return parseFacts(text)
}

func (r Release) ebins() (list []string) {
	for _, dir := range r.Ebins {
		list = append(list, dir)
	}
	slices.Sort(list)
	return list
}

// make lays the derived appups beside the applications' own files, in directories that systools meets first.
func (vm VM) make(ctx context.Context, old, new Release, derived map[string]string) (relup []byte, warnings []string, err error) {
	var overlays []string
	for name, text := range derived {
		dir, err := overlay(vm.Scratch, name+"-"+new.Versions[name], new.Ebins[name])
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".appup"), []byte(text), 0o600)
		}
		if err != nil {
			return nil, nil, err
		}
		overlays = append(overlays, dir)
	}
	slices.Sort(overlays)
	out := filepath.Join(vm.Scratch, "made", "relup-"+new.Version)
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return nil, nil, err
	}
	args := append([]string{out, strings.TrimSuffix(new.RelFile, ".rel"), strings.TrimSuffix(old.RelFile, ".rel")}, overlays...)
	args = append(append(args, new.ebins()...), old.ebins()...)
	said, err := vm.run(ctx, "make.erl", makeScript, nil, args)
	if err != nil {
		return nil, nil, err
	}
	relup, err = os.ReadFile(out)
	if err != nil {
		return nil, nil, fmt.Errorf("systools cannot make a relup from %s to %s: %s", old.Version, new.Version, said)
	}
	for line := range strings.Lines(said) {
		if text, is := strings.CutPrefix(strings.TrimSpace(line), "warning: "); is {
			warnings = append(warnings, text)
		}
	}
	return relup, warnings, nil
}

// overlay is a directory with a link to each file of another one, but for an appup.
func overlay(scratch, name, ebin string) (dir string, err error) {
	dir = filepath.Join(scratch, "lib", name, "ebin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	files, err := os.ReadDir(ebin)
	for _, f := range files {
		if err == nil && filepath.Ext(f.Name()) != ".appup" {
			err = os.Symlink(filepath.Join(ebin, f.Name()), filepath.Join(dir, f.Name()))
		}
	}
	return dir, err
}

// run evaluates a script, and returns what it prints.
func (vm VM) run(ctx context.Context, name, script string, path, args []string) (said string, err error) {
	file := filepath.Join(vm.Scratch, name)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	output, err := os.CreateTemp(vm.Scratch, "said-")
	if err != nil {
		return "", err
	}
	defer output.Close()
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	process, err := vm.Start(vm.command(file, path, args, output))
	if err != nil {
		return "", err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		err := errors.Join(ctx.Err(), process.Signal(unix.SIGKILL))
		process.Exit()
		return "", fmt.Errorf("the emulator did not end: %w", err)
	}
	text, err := readAgain(output)
	if exit := process.Exit(); exit.Status() != 0 {
		return "", fmt.Errorf("the emulator ended with %s: %s", exit, text)
	}
	return text, err
}

func (vm VM) command(script string, path, args []string, output *os.File) signals.Command {
	const evaluate = `case catch file:script(hd(init:get_plain_arguments())) of {ok, _} -> halt(0); E -> io:format("~0tp~n", [E]), halt(1) end.`
	lib := filepath.Join(vm.Root, "lib")
	argv := []string{
		"erlexec", "-boot", vm.Boot, "-noinput", "-mode", "interactive",
		"-boot_var", "SYSTEM_LIB_DIR", lib, "-boot_var", "ERTS_LIB_DIR", lib, "-boot_var", "RELEASE_LIB", lib,
	}
	if len(path) > 0 {
		argv = append(append(argv, "-pa"), path...)
	}
	argv = append(argv, "-eval", evaluate, "-extra")
	return signals.Command{
		Path: vm.Erlexec, Args: append(append(argv, script), args...), Dir: vm.Scratch, Stdout: output, Stderr: output,
		Env: []string{
			"ROOTDIR=" + vm.Root, "BINDIR=" + filepath.Dir(vm.Erlexec), "EMU=beam", "PROGNAME=erl", "HOME=" + vm.Scratch,
			"PATH=" + filepath.Dir(vm.Erlexec) + ":/usr/bin:/bin", "ERL_CRASH_DUMP_SECONDS=0",
		},
	}
}

func readAgain(f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	return strings.TrimSpace(string(text)), err
}
