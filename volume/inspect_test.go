package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inspect looks at a package, and checks that nothing is left of that: neither in TMPDIR nor on the volume.
func inspect(t *testing.T, content []byte, place Place) (Inspected, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "demo.tar.gz")
	write(t, file, string(content))
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var before []string
	if place.Volume != "" {
		before = list(t, place.Volume)
	}
	found, err := Inspect(context.Background(), file, digestOf(content), place)
	if left := list(t, temporary); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if place.Volume != "" {
		if diff := cmp.Diff(before, list(t, place.Volume)); diff != "" {
			t.Errorf("the volume has changed:\n%s", diff)
		}
	}
	return found, err
}

func TestAPackageIsInspectedWithoutAVolume(t *testing.T) {
	relup := file("releases/1.1.0/relup", `{"1.1.0",[{"1.0.0",[],[]},{"0.9.0",[],[]}],[{"1.0.0",[],[]}]}.`)
	found, err := inspect(t, pack(t, append(full("1.1.0"), relup, file("README", "x"))), Place{})
	if err != nil {
		t.Fatal(err)
	}
	if found.Release.Version != "1.1.0" || !found.HasERTS || found.Known || found.Release.Size == 0 || len(found.Release.Libs) != 4 {
		t.Errorf("found: %+v", found)
	}
	up, down := found.Relup.Edges()
	if diff := cmp.Diff([][]string{{"1.0.0", "0.9.0"}, {"1.0.0"}, {"README"}}, [][]string{up, down, found.Skipped}); diff != "" {
		t.Error(diff)
	}
	if up, down := (*Relup)(nil).Edges(); up == nil || down == nil || len(up)+len(down) > 0 {
		t.Errorf("no relup leads from %v to %v", up, down)
	}
}

func TestWhatStageRefusesInspectRefusesToo(t *testing.T) {
	whole := pack(t, thin("1.0.0"))
	for name, c := range map[string]struct {
		content []byte
		want    Code
	}{
		"nothing":           {nil, NotAPackage},
		"a text":            {[]byte("it was a dark and stormy night"), NotAPackage},
		"half":              {whole[:len(whole)/2], Truncated},
		"an unsafe path":    {pack(t, []member{file("lib/../../x", "x")}), UnsafePath},
		"twice in lib":      {pack(t, append(thin("1.0.0"), file("lib/demo-1.0.0/ebin/demo.app", "x"))), UnsafeEntry},
		"below a file":      {pack(t, append(thin("1.0.0"), file("lib/demo-1.0.0/ebin/demo.app/x", "x"))), UnsafeEntry},
		"no application":    {pack(t, without("demo.app", thin("1.0.0"))), Incomplete},
		"no configuration":  {pack(t, without("sys.config", thin("1.0.0"))), BadConfig},
		"a bomb":            {pack(t, []member{file("lib/a-1/zeros", strings.Repeat("\x00", freeRatioBytes+1))}), TooLarge},
		"a relup elsewhere": {pack(t, append(thin("1.0.0"), file("releases/1.0.0/relup", `{"2.0.0",[],[]}.`))), BadRelup},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inspect(t, c.content, Place{})
			refusedWith(t, err, c.want)
		})
	}
}

// TestAPackageIsComparedWithAVolumeInUse: its agent holds the lock meanwhile.
func TestAPackageIsComparedWithAVolumeInUse(t *testing.T) {
	v := seeded(t)
	for name, c := range map[string]struct {
		members []member
		known   bool
		want    Code
	}{
		"new":             {thin("1.1.0"), false, ""},
		"with OTP":        {full("1.1.0"), false, ""},
		"known":           {thin("1.0.0"), true, ""},
		"other release":   {without("vm.args", thin("1.0.0")), false, ConflictingRelease},
		"other lib":       {append(without("greet.beam", thin("1.1.0")), file("lib/greet-1.0.0/ebin/greet.beam", "other")), false, ConflictingLib},
		"more in a lib":   {append(thin("1.1.0"), file("lib/greet-1.0.0/priv/more", "x")), false, ConflictingLib},
		"of another name": {append(without("demo.rel", thin("1.1.0")), file("releases/1.1.0/other.rel", `{release,{"other","1.1.0"},{erts,"1"},[{kernel,"1"}]}.`)), false, WrongName},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := inspect(t, pack(t, c.members), Place{Volume: v.Root()})
			if c.want != "" {
				refusedWith(t, err, c.want)
			} else if err != nil || found.Known != c.known {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

func TestInspectNamesWhatItCannotRead(t *testing.T) {
	if _, err := inspect(t, pack(t, thin("1.0.0")), Place{Volume: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "cannot look at the volume") {
		t.Errorf("no volume: %v", err)
	}
	file := filepath.Join(t.TempDir(), "demo.tar.gz")
	write(t, file, string(pack(t, thin("1.0.0"))))
	if _, err := Inspect(context.Background(), file, strings.Repeat("0", 64), Place{}); err == nil {
		t.Error("another digest is good")
	} else {
		refusedWith(t, err, Damaged)
	}
	t.Setenv("TMPDIR", filepath.Join(os.TempDir(), "not", "there"))
	if _, err := Inspect(context.Background(), file, digestOf([]byte(read(t, file))), Place{}); err == nil || !strings.Contains(err.Error(), "TMPDIR names a directory") {
		t.Errorf("nowhere to write: %v", err)
	}
}

func TestAPackageIsComparedWithTheImagesOTP(t *testing.T) {
	older := image(t)
	must(t, os.Rename(older.OTPRoot+"/lib/kernel-8.5.3", older.OTPRoot+"/lib/kernel-8.5"))
	for name, c := range map[string]struct {
		members []member
		place   Place
		fits    bool
	}{
		"it has all of it":           {thin("1.0.0"), Place{Image: image(t)}, true},
		"it has another kernel":      {thin("1.0.0"), Place{Image: older}, false},
		"the package brings its own": {full("1.0.0"), Place{Image: older}, true},
		"there is no image":          {thin("1.0.0"), Place{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inspect(t, pack(t, c.members), c.place)
			if c.fits {
				must(t, err)
				return
			}
			if refusal := refusedWith(t, err, NeedsImage); !strings.Contains(refusal.Error(), "it needs a new image, with kernel-8.5.3: this one has kernel-8.5") {
				t.Error(refusal)
			}
		})
	}
}

// TestTheApplicationsOfAnExaminedPackageCanBeRead: those that the volume has are borrowed, and nothing is left of them.
func TestTheApplicationsOfAnExaminedPackageCanBeRead(t *testing.T) {
	v := seeded(t)
	pkg := filepath.Join(t.TempDir(), "demo.tar.gz")
	content := pack(t, thin("1.1.0"))
	write(t, pkg, string(content))
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	before := list(t, v.Root())
	found, err := Examine(t.Context(), pkg, digestOf(content), Place{Volume: v.Root()})
	must(t, err)
	if len(found.Misfits) > 0 || found.Needed == 0 || found.Needed >= found.Release.Size {
		t.Errorf("it does not fit, or needs %d bytes of %d: %v", found.Needed, found.Release.Size, found.Misfits)
	}
	for _, lib := range found.Release.Libs {
		if lib.App == "demo" || lib.App == "greet" {
			read(t, filepath.Join(found.Staged.LibDir(Image{}, lib), "ebin", lib.App+".app"))
		}
	}
	must(t, found.Close())
	if left := list(t, temporary); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if diff := cmp.Diff(before, list(t, v.Root())); diff != "" {
		t.Errorf("the volume has changed:\n%s", diff)
	}
}

func TestAllThatDoesNotFitIsFound(t *testing.T) {
	v := seeded(t)
	pkg := filepath.Join(t.TempDir(), "demo.tar.gz")
	more := file("releases/1.1.0/demo.rel", `{release,{"demo","1.1.0"},{erts,"13.1.5"},[{kernel,"8.5.3"},{stdlib,"4.2"},{greet,"1.0.0"},{demo,"1.1.0"},{crypto,"5.1"}]}.`)
	content := pack(t, append(without("demo.rel", without("greet.beam", thin("1.1.0"))), more))
	write(t, pkg, string(content))
	found, err := Examine(t.Context(), pkg, digestOf(content), Place{Volume: v.Root(), Image: image(t)})
	must(t, err)
	defer found.Close()
	if len(found.Misfits) != 2 {
		t.Fatalf("%d reasons: %v", len(found.Misfits), found.Misfits)
	}
	refusedWith(t, found.Misfits[0], ConflictingLib)
	refusedWith(t, found.Misfits[1], NeedsImage)
}

func TestAVolumeThatIsLookedAtIsNotChanged(t *testing.T) {
	v := seeded(t)
	looked, err := Look(v.Root())
	must(t, err)
	if looked.State().Current != "1.0.0" || looked.RelFile("1.0.0") != v.RelFile("1.0.0") {
		t.Error("it is another one")
	}
	if err := looked.Begin(*opTo("1.0.0")); !errors.Is(err, errNotOurs) {
		t.Errorf("its state was changed: %v", err)
	}
}
