package volume

import (
	"os"
	"strings"
	"testing"
)

func TestWhatReleaseHandlerWantsIsTakenOnce(t *testing.T) {
	v := seeded(t)
	path := v.Path("releases", NextFile)
	for text, want := range map[string]Next{
		"13.1.5 1.1.0":                       {"13.1.5", "1.1.0"},
		"15.2.7 " + HybridPrefix + "1.0.0\n": {"15.2.7", "__new_emulator__1.0.0"},
	} {
		write(t, path, text)
		for _, want := range []Next{want, {}} {
			if got, err := v.TakeNext(); got != want || err != nil {
				t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
			}
		}
	}
}

func TestWhatReleaseHandlerHasNotWrittenInFullIsTakenAwayToo(t *testing.T) {
	v := seeded(t)
	for _, text := range []string{"", "13.1.5"} {
		write(t, v.Path("releases", NextFile), text)
		if got, err := v.TakeNext(); err == nil || !strings.Contains(err.Error(), "cannot read what release_handler wants") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if _, err := os.Lstat(v.Path("releases", NextFile)); !os.IsNotExist(err) {
			t.Errorf("%q is still there: %v", text, err)
		}
	}
}

func TestABootOfTheAgentsOwnLeavesNothingOfAHybridRelease(t *testing.T) {
	v := seeded(t)
	hybrid := v.Path("releases", HybridPrefix+"1.0.0")
	must(t, os.Mkdir(hybrid, 0o755))
	write(t, hybrid+"/start.boot", "boot")
	must(t, v.Derive("1.0.0"))
	if _, err := os.Lstat(hybrid); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
