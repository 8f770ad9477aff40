package erlexec

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"theseus/rpc/term"
)

// maxIncludes is the depth of configuration files: those that a file names may name none (application_controller:load_file/1).
const maxIncludes = 1

// Parameters are those of an application, of the configuration files that the line names and of the line itself, which
// counts more (kernel: application_controller:check_conf/0, get_cmd_env/1). What cannot be read is left out: the node
// will say that itself.
func (a Args) Parameters(app string) map[string]term.Term {
	set := map[string]term.Term{}
	for _, files := range a.All("-config") {
		for _, file := range files {
			a.readConfig(inDir(a.dir, file), app, set, 0)
		}
	}
	for _, pairs := range slices.Backward(a.All("-" + app)) { // of several flags the first counts, and in one the last pair
		for i := 0; i+1 < len(pairs); i += 2 {
			if value, err := term.ParseOne([]byte(pairs[i+1])); err == nil {
				set[pairs[i]] = value
			}
		}
	}
	return set
}

func (a Args) readConfig(path, app string, set map[string]term.Term, depth int) {
	path = strings.TrimSuffix(path, ".config") + ".config"
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	config, _ := term.ParseOne(text)
	list, _ := config.(term.List)
	for _, entry := range list {
		if file, is := term.AsString(entry); is && depth < maxIncludes {
			a.readConfig(a.included(path, file), app, set, depth+1)
		}
		note(entry, app, set)
	}
}

// included is where a file is that another one names: beside it, else below the working directory.
func (a Args) included(by, file string) string {
	beside := inDir(filepath.Dir(by), file)
	if _, err := os.Stat(strings.TrimSuffix(beside, ".config") + ".config"); err == nil {
		return beside
	}
	return inDir(a.dir, file)
}

// note takes over what an entry {app, [{key, value}]} says.
func note(entry term.Term, app string, set map[string]term.Term) {
	of, _ := entry.(term.Tuple)
	if len(of) != 2 || of[0] != term.Atom(app) {
		return
	}
	pairs, _ := of[1].(term.List)
	for _, p := range pairs {
		if pair, _ := p.(term.Tuple); len(pair) == 2 {
			if key, is := pair[0].(term.Atom); is {
				set[string(key)] = pair[1]
			}
		}
	}
}
