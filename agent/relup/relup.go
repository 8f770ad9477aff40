// Package relup makes what leads a node from one release to another where nobody has: from the appups of the applications,
// and for those that have none from a comparison of their modules. OTP's own systools and beam_lib do that, in an emulator
// that is thrown away; what may be derived, and what not, is decided here.
package relup

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	Init    *signals.Init
	Scratch string // an empty directory, for what is left to the caller to remove
}

// runTimeout is for one look at the modules of a release, or one relup.
const runTimeout = 2 * time.Minute

const maxSaid = 1 << 20 // bytes, beyond which an emulator is ended

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
	before, after, err := Compare(ctx, vm, old, new)
	if err != nil {
		return Made{}, err
	}
	made := Made{Derived: map[string]string{}}
	var reasons []string
	for _, name := range changedApps(old, new) {
		if after[name].Appup {
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

// Compare learns of both releases what is known of the applications that differ: those that change, and those that only one of them
// has; and of others that are named. Each release is asked with its own code.
func Compare(ctx context.Context, vm VM, old, new Release, others ...string) (before, after map[string]App, err error) {
	before, err = vm.facts(ctx, old, old.apart(new, others), nil)
	if err == nil {
		after, err = vm.facts(ctx, new, new.apart(old, others), old.Versions)
	}
	return before, after, err
}

// apart are the applications of which the other release does not have this version, and those of the named ones that there are.
func (r Release) apart(other Release, named []string) (names []string) {
	for name, version := range r.Versions {
		if other.Versions[name] != version || slices.Contains(named, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (vm VM) facts(ctx context.Context, r Release, apps []string, from map[string]string) (map[string]App, error) {
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
		return nil, nil, &UnderivableError{[]string{fmt.Sprintf("systools makes none from %s to %s: %s", old.Version, new.Version, strings.TrimPrefix(said, "error: "))}}
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
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	text, exit, err := vm.Init.Output(ctx, vm.command(file, path, args), maxSaid)
	said = strings.TrimSpace(string(text))
	switch {
	case errors.Is(err, signals.ErrTooMuch):
		return "", fmt.Errorf("the emulator prints more than %d bytes", maxSaid)
	case err != nil && ctx.Err() != nil:
		return "", fmt.Errorf("the emulator did not end: %w", err)
	case err == nil && exit.Status() != 0:
		return "", fmt.Errorf("the emulator ended with %s: %s", exit, said)
	}
	return said, err
}

func (vm VM) command(script string, path, args []string) signals.Command {
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
		Path: vm.Erlexec, Args: append(append(argv, script), args...), Dir: vm.Scratch, OneOutput: true,
		Env: []string{
			"ROOTDIR=" + vm.Root, "BINDIR=" + filepath.Dir(vm.Erlexec), "EMU=beam", "PROGNAME=erl", "HOME=" + vm.Scratch,
			"PATH=" + filepath.Dir(vm.Erlexec) + ":/usr/bin:/bin", "ERL_CRASH_DUMP_SECONDS=0",
		},
	}
}
