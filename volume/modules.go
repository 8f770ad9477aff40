package volume

import (
	"path/filepath"
	"strings"
)

// Modules lists the modules of an application on the volume, by their files in ebin.
func (v *Volume) Modules(l Lib) ([]string, error) {
	files, err := filepath.Glob(v.Path(l.dir(), "ebin", "*.beam"))
	if err != nil {
		return nil, err
	}
	modules := make([]string, 0, len(files))
	for _, file := range files {
		modules = append(modules, strings.TrimSuffix(filepath.Base(file), ".beam"))
	}
	return modules, nil
}
