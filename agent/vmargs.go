package agent

import (
	"bufio"
	"slices"
	"strings"
)

// vmArgs is what the agent must know of a release's vm.args, so that it neither contradicts nor repeats it:
// of two -name the first wins, and two -setcookie cancel each other.
type vmArgs struct {
	name     string // of the node, as given to -name or -sname; empty: the node is not distributed
	short    bool   // -sname
	named    bool   // by an argument of the release
	cookie   string // of -setcookie
	distPort string // of -erl_epmd_port
	flags    map[string]bool
}

// has says that vm.args gives the flag, with or without a value.
func (a vmArgs) has(flag string) bool { return a.flags[flag] }

// parseVMArgs reads vm.args as erlexec does (erts: get_args_from_file in erlexec.c): words separated by
// white space, # to the end of the line is a comment, a backslash takes the next character as it is, and
// quotes keep white space in a word.
func parseVMArgs(content string) vmArgs {
	args := vmArgs{flags: map[string]bool{}}
	args.noteAll(vmWords(content))
	return args
}

func (a *vmArgs) noteAll(words []string) {
	for i, word := range words {
		value := ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		a.note(word, value, words[i+1:])
	}
}

func (a *vmArgs) note(word, value string, rest []string) {
	switch word {
	case "-name", "-sname":
		if a.name == "" {
			a.name, a.short = value, word == "-sname"
		}
	case "-setcookie":
		a.cookie = value
	case "-erl_epmd_port":
		a.distPort = value
	case "-kernel":
		for _, key := range rest {
			if strings.HasPrefix(key, "-") {
				break
			}
			a.flags["-kernel "+key] = true
		}
	}
	if strings.HasPrefix(word, "-") || strings.HasPrefix(word, "+") {
		a.flags[word] = true
	}
}

// noteHeart looks for -heart also where erlexec finds more arguments (erts: erlexec.c). A node to which it is given
// twice does not boot (kernel: heart:check_start_heart/0).
func (a *vmArgs) noteHeart(environ []string) {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "ERL_") && strings.HasSuffix(name, "FLAGS") && slices.Contains(lineWords(value), "-heart") {
			a.flags["-heart"] = true
		}
	}
}

// vmWords splits the text of an arguments file.
func vmWords(content string) []string {
	var words []string
	lines := bufio.NewScanner(strings.NewReader(content))
	for lines.Scan() {
		words = append(words, lineWords(lines.Text())...)
	}
	return words
}

func lineWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote rune
	var started, escaped bool
	end := func() {
		if started {
			words = append(words, word.String())
		}
		word.Reset()
		started = false
	}
	for _, c := range line {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			started, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			started, quote = true, c
		case c == '#':
			end()
			return words
		case c == ' ' || c == '\t' || c == '\r':
			end()
		default:
			started = true
			word.WriteRune(c)
		}
	}
	end()
	return words
}
