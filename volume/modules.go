package volume

import "strings"

// Modules lists the modules of an application on the volume, by their files in ebin.
func (v *Volume) Modules(l Lib) ([]string, error) {
	files, err := directoryNames(v.disk, v.Path(l.dir(), "ebin"))
	if err != nil {
		return nil, err
	}
	modules := make([]string, 0, len(files))
	for _, file := range files {
		if module, is := strings.CutSuffix(file, ".beam"); is {
			modules = append(modules, module)
		}
	}
	return modules, nil
}
