// Package erlexec is the command line of a node as the node will have it: what erlexec makes of its arguments, of the
// files that they name and of the environment, and what init and application_controller then make of that. The agent
// reads it before it launches a node, so that it neither contradicts nor repeats what a release says.
package erlexec

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Line is what erlexec is started with.
type Line struct {
	OTP     string   // the release number of its OTP: "27"
	Args    []string // without the program's own name
	Environ []string
	Dir     string // the working directory
}

// maxFiles is more than any release has, and fewer than a file that names itself would be read.
const maxFiles = 100

// Read expands the line (erts: initial_argv_massage in erlexec.c): variables before and after the arguments, files in
// the place of their -args_file, and what follows -extra at the end. The error is about a file.
func (l Line) Read() (Args, error) {
	e := expander{dir: l.Dir}
	for _, list := range [][]string{
		words(l.env("ERL_OTP"+l.OTP+"_FLAGS"), false), words(l.env("ERL_AFLAGS"), false),
		append(l.Args[:len(l.Args):len(l.Args)], "--"),
		words(l.env("ERL_FLAGS"), false), words(l.env("ERL_ZFLAGS"), false),
	} {
		if err := e.expand(list); err != nil {
			return Args{}, err
		}
	}
	return Args{flags: flagsOf(e.words), dir: l.Dir}, nil
}

func (l Line) env(name string) string { return getenv(l.Environ, name) }

// getenv is the value of a variable; what is not set is empty.
func getenv(environ []string, name string) string {
	for _, kv := range environ {
		if value, is := strings.CutPrefix(kv, name+"="); is {
			return value
		}
	}
	return ""
}

// expander collects the words of a line. Those of -extra are for the release alone, and dropped.
type expander struct {
	dir   string
	words []string
	files int
}

func (e *expander) expand(list []string) error {
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == "-extra":
			return nil
		case list[i] != "-args_file":
			e.words = append(e.words, list[i])
		case i+1 == len(list):
			return fmt.Errorf("-args_file names no file")
		default:
			i++
			if err := e.file(list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *expander) file(name string) error {
	if e.files++; e.files > maxFiles {
		return fmt.Errorf("cannot read %s: arguments files name one another without an end", name)
	}
	text, err := os.ReadFile(inDir(e.dir, name))
	if err != nil {
		return fmt.Errorf("cannot read the arguments file: %w", err)
	}
	return e.expand(words(string(text), true))
}

// inDir is where a program with this working directory finds a file.
func inDir(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// flag is one -name of the line and the words behind it.
type flag struct {
	name   string // with its - or +
	values []string
}

// consumes are the flags that erlexec takes away with the words behind them, whatever those look like.
var consumes = map[string]int{"-env": 2, "-epmd": 1}

// flagsOf groups words as init does (erts: init:parse_boot_args/1). A word that begins with + is the emulator's, and
// so is what follows it.
func flagsOf(words []string) []flag {
	var flags []flag
	open := false // words belong to the last flag
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "--":
			open = false
		case strings.HasPrefix(word, "-"), strings.HasPrefix(word, "+"):
			n := min(i+1+consumes[word], len(words))
			flags = append(flags, flag{word, words[i+1 : n : n]})
			open = consumes[word] == 0
			i = n - 1
		case open:
			last := &flags[len(flags)-1]
			last.values = append(last.values, word)
		}
	}
	return flags
}

// Args are the flags of a node.
type Args struct {
	flags []flag
	dir   string
}

// Path is where the node finds a file; no name stays none.
func (a Args) Path(name string) string {
	if name == "" {
		return ""
	}
	return inDir(a.dir, name)
}

// Has says that a flag is given, with or without values.
func (a Args) Has(name string) bool { return len(a.All(name)) > 0 }

// All are the values of each time that a flag is given (init:get_argument/1).
func (a Args) All(name string) (all [][]string) {
	for _, f := range a.flags {
		if f.name == name {
			all = append(all, f.values)
		}
	}
	return all
}

// First is the first value of a flag that is given with one.
func (a Args) First(name string) string {
	for _, values := range a.All(name) {
		if len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// Name is the node's name, as given, and whether it is a short one: -sname counts before -name, and the first of each, if
// that has one word (kernel: erl_distribution:do_start_link/1).
func (a Args) Name() (name string, short bool) {
	for _, flag := range []string{"-sname", "-name"} {
		if all := a.All(flag); len(all) > 0 && len(all[0]) == 1 {
			return all[0][0], flag == "-sname"
		}
	}
	return "", false
}

// Cookie is the one that -setcookie gives. Two of them cancel each other; those with a node's name are for that node
// (kernel: auth:init_setcookie/3).
func (a Args) Cookie() string {
	var own []string
	for _, values := range a.All("-setcookie") {
		if len(values) < 2 {
			own = append(own, strings.Join(values, ""))
		}
	}
	switch {
	case len(own) == 1 && own[0] != "":
		return own[0]
	case a.Has("-nocookie"):
		return "nocookie"
	}
	return ""
}

// Env is a variable of the environment as -env has it, else as environ does.
func (a Args) Env(environ []string, name string) string {
	value := getenv(environ, name)
	for _, values := range a.All("-env") {
		if len(values) == 2 && values[0] == name {
			value = values[1]
		}
	}
	return value
}

// OTP is the release number of an ERTS version: 15.2.7 is OTP 27's.
func OTP(erts string) string {
	major, _, _ := strings.Cut(erts, ".")
	var n int
	if _, err := fmt.Sscanf(major, "%d", &n); err != nil {
		return cmp.Or(major, "0")
	}
	return fmt.Sprint(n + 12)
}
