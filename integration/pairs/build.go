package pairs

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"theseus/integration/repack"
)

//go:embed build.escript
var buildScript []byte

// Packages are what a pair becomes.
type Packages struct {
	Old, New string
	Bare     string // New without its relup
}

// In are the packages of a pair that Build has made in dir.
func (p Pair) In(dir string) Packages {
	at := filepath.Join(dir, p.Name)
	return Packages{Old: filepath.Join(at, "old.tar.gz"), New: filepath.Join(at, "new.tar.gz"), Bare: filepath.Join(at, "bare.tar.gz")}
}

// Build makes the packages of pairs in dir with the Erlang of this machine, all of them in one emulator.
func Build(dir string, pairs ...Pair) error {
	script := filepath.Join(dir, "build.escript")
	if err := os.WriteFile(script, buildScript, 0o600); err != nil {
		return err
	}
	args := []string{script}
	for _, p := range pairs {
		at := filepath.Join(dir, p.Name)
		if err := p.sources(at); err != nil {
			return fmt.Errorf("cannot write the sources of %s: %w", p.Name, err)
		}
		args = append(args, at)
	}
	if said, err := exec.Command("escript", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the pairs: %w\n%s", err, said)
	}
	for _, p := range pairs {
		made := p.In(dir)
		if err := repack.File(made.New, made.Bare, withoutRelup); err != nil {
			return err
		}
	}
	return nil
}

func withoutRelup(name string, content []byte) (string, []byte) {
	if filepath.Base(name) == "relup" || strings.HasSuffix(name, ".appup") {
		name = ""
	}
	return name, content
}
