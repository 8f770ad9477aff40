// Command agent is PID 1 of a container that runs an Erlang release, and the command that talks to it.
package main

import (
	"context"
	"os"
	"path/filepath"

	"theseus/agent/heart"
)

func main() {
	if filepath.Base(os.Args[0]) == heart.Program { // the node has started it
		os.Exit(heart.Main(os.Getenv, os.Stderr))
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
