package main

import (
	"crypto/rand"
	"os"
	"path/filepath"

	"theseus/integration/repack"
)

const padding = 40 << 20

// padPackage copies a package and adds a file that does not compress to the priv directory of its
// application, as a service ships its assets or models.
func padPackage(small, large string) error {
	if err := os.MkdirAll(filepath.Dir(large), 0o755); err != nil {
		return err
	}
	model := repack.Member{Name: "lib/demo-" + to + "/priv/model.bin", Content: make([]byte, padding)}
	rand.Read(model.Content) // never fails (crypto/rand)
	return repack.File(small, large, repack.Keep, model)
}
