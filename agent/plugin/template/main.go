// Command template is a plugin to begin with: a gate that objects while a file is there. Copy it, and put your own question into
// Check. docs/plugins.md says how an image gets it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"theseus/agent/plugin"
)

// maintenance objects while somebody has put a file there.
type maintenance struct{}

func (maintenance) Check(_ context.Context, q plugin.Question) error {
	path := q.Config["file"]
	if path == "" {
		return errors.New("the gate's config names no file")
	}
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s is there: no upgrade from %s to %s now", path, q.From, q.To)
}

func main() {
	plugin.Serve(plugin.Plugin{Gate: maintenance{}})
}
