package volume

import (
	"path/filepath"
	"testing"
)

// TestAnApplicationThatAnotherOneIncludesIsNotExpectedToRun: systools starts it with that one
// (systools:make_script/2).
func TestAnApplicationThatAnotherOneIncludesIsNotExpectedToRun(t *testing.T) {
	const demo = `{application,demo,[{description,"d"},{vsn,"1.0.0"},{modules,[]},{registered,[]},
		{applications,[kernel,stdlib]},{included_applications,[greet]}]}.`
	const greet = `{application,greet,[{description,"g"},{vsn,"1.0.0"},{modules,[]},{registered,[]},{applications,[kernel,stdlib]}]}.`
	const rel = `{release,{"demo","1.0.0"},{erts,"13.1.5"},[{kernel,"8.5.3"},{stdlib,"4.2"},{greet,"1.0.0"},{demo,"1.0.0"}]}.`
	members := append(without("demo.app", without(".rel", without("greet.app", thin("1.0.0")))),
		file("lib/demo-1.0.0/ebin/demo.app", demo), file("lib/greet-1.0.0/ebin/greet.app", greet), file("releases/1.0.0/demo.rel", rel))
	r := publish(t, open(t, filepath.Join(t.TempDir(), "release")), members)
	for _, lib := range r.Libs {
		if lib.Stays() != (lib.App != "greet") {
			t.Errorf("%s is expected to run: %v", lib.App, lib.Stays())
		}
	}
}
