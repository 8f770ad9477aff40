// Package family knows the kinds of release, and what of a release's configuration is open until its node's environment
// is known: rebar3 and relx leave templates, mix leaves programs. What runs at last is always an erlexec of the agent's.
package family

import (
	"context"
	"os"
	"path/filepath"

	"theseus/signals"
)

// Release is a release on a volume.
type Release struct {
	Name, Version, ERTS string
	Root                string   // of the volume, absolute
	Dir                 string   // releases/<version>, absolute
	Brought             []string // of its configuration files, those that are no templates: they stay as they are
}

// Family is a kind of release. The environment is that of the node, and never of whoever asks for something.
type Family interface {
	// Environ is the environment of the release's node, from the agent's own.
	Environ(ctx context.Context, r Release, base []string) ([]string, error)
	// Resolve fills in what the package has left open. It changes nothing on the volume.
	Resolve(ctx context.Context, r Release, environ []string) (Resolved, error)
	// Launch is how erlexec is called for the release, in its node's environment.
	Launch(r Release, environ []string) (Launch, error)
	// Command is a script that does, for the node that runs, what the release's own launcher does; empty: it has none.
	Command(r Release, node Node) []byte
}

// Launch is what differs between the command lines of the families.
type Launch struct {
	Boot   string   // the boot script, without a directory and .boot
	Mode   string   // of the code server
	VMArgs string   // the arguments file, absolute; empty: none
	Before []string // arguments before all others
	After  []string // and after them
	Name   string   // of the node; what an argument says goes first; empty: the agent's choice
	Short  bool     // the name is one for -sname
	Cookie string   // the release's own; empty: none
}

// Node is how the node that runs is reached.
type Node struct {
	Name   string // with its host
	Short  bool
	Port   string   // of its distribution
	Home   string   // where its cookie is
	Dist   []string // arguments by which another node speaks its protocol: those of TLS
	InetRC string   // a file that leads its host's name to loopback, where it listens (kernel: inet_db); empty: it is found elsewhere
}

// Host is where programs of a release are run.
type Host struct {
	Init   *signals.Init
	Dir    string // private, on a tmpfs
	Nofile uint64 // cap of their soft limit of open files; 0 leaves it
}

// Resolved is a release's configuration with everything filled in.
type Resolved struct {
	Files []File   // those that the package does not bring as they are
	Unset []string // variables without a value and without a default: they were taken for empty
}

// File is one of the release's directory.
type File struct {
	Name    string // "sys.config"
	Content []byte
}

// Of finds the family of a release by its files.
func Of(r Release, h Host) Family {
	for _, mark := range []string{"remote.vm.args", "env.sh"} { // as package volume knows them
		if exists(filepath.Join(r.Dir, mark)) {
			return mix{h}
		}
	}
	return otp{}
}

// read returns a file of the release's directory, and whether it is there.
func (r Release) read(name string) (content []byte, there bool, err error) {
	content, err = os.ReadFile(filepath.Join(r.Dir, name))
	if os.IsNotExist(err) {
		return nil, false, nil
	}
	return content, err == nil, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
