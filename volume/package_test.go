package volume

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refused stages the bytes, and checks that they are refused and leave nothing behind.
func refused(t *testing.T, v *Volume, content []byte, want Code) *PackageError {
	t.Helper()
	pkg := receive(t, v, content)
	_, err := v.Stage(context.Background(), pkg, "demo", nil)
	refusal := refusedWith(t, err, want)
	if leftovers := list(t, v.agentPath("stage")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
	if err := v.Discard(pkg); err != nil {
		t.Error(err)
	}
	return refusal
}

func TestUnusableReleasesAreRefusedWithTheirOwnCode(t *testing.T) {
	v := open(t, t.TempDir())
	with := func(remove string, add ...member) []member { return append(without(remove, thin("1.1.0")), add...) }
	for name, test := range map[string]struct {
		members []member
		want    Code
	}{
		"no .rel":           {with(".rel"), NoRelease},
		"no release":        {with("releases/"), NoRelease},
		"two releases":      {with("-", file("releases/2.0.0/start.boot", "x")), WrongVersion},
		"unreadable .rel":   {with("demo.rel", file("releases/1.1.0/demo.rel", "{release")), BadRelease},
		"odd version":       {with("demo.rel", file("releases/1.1.0/demo.rel", `{release,{"demo","../x"},{erts,"1"},[{kernel,"1"}]}.`)), BadRelease},
		"version disagrees": {with("demo.rel", file("releases/1.1.0/demo.rel", `{release,{"demo","1.2.0"},{erts,"1"},[{kernel,"1"}]}.`)), WrongVersion},
		"another name":      {with("demo.rel", file("releases/1.1.0/other.rel", `{release,{"other","1.1.0"},{erts,"1"},[{kernel,"1"}]}.`)), WrongName},
		"no boot script":    {with("start.boot"), Incomplete},
		"no .app":           {with("demo.app"), Incomplete},
		"no sys.config":     {with("sys.config"), BadConfig},
		"broken sys.config": {with("sys.config", file("releases/1.1.0/sys.config", "[{demo,[]}]")), BadConfig},
		"no config":         {with("sys.config", file("releases/1.1.0/sys.config", "[demo].")), BadConfig},
		"broken relup":      {with("none", file("releases/1.1.0/relup", `{"1.1.0",[{"1.0.0",x}],[]}.`)), BadRelup},
		"relup to another":  {with("none", file("releases/1.1.0/relup", `{"1.2.0",[],[]}.`)), BadRelup},
	} {
		t.Run(name, func(t *testing.T) { refused(t, v, pack(t, test.members), test.want) })
	}
}

func TestABootScriptThatIsNamedForTheReleaseIsPlacedWhereItIsLookedFor(t *testing.T) {
	v := open(t, t.TempDir())
	r, err := stage(t, v, append(without("start.boot", thin("1.0.0")), file("releases/1.0.0/demo.boot", "boot"))).Publish(image(t))
	must(t, err)
	if content, err := os.ReadFile(v.Path("releases/1.0.0/start.boot")); string(content) != "boot" {
		t.Errorf("start.boot holds %q, %v", content, err)
	}
	if _, err := os.Stat(v.Path("releases/1.0.0/demo.boot")); err == nil {
		t.Error("demo.boot is still there")
	}
	must(t, v.Verify(r.Version))
}

func TestHostileEntriesAreRefused(t *testing.T) {
	v := open(t, t.TempDir())
	device := member{Header: tar.Header{Typeflag: tar.TypeChar, Name: "lib/a-1/null", Mode: 0o644, Devmajor: 1, Devminor: 3}}
	fifo := member{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "lib/a-1/fifo", Mode: 0o644}}
	hard := member{Header: tar.Header{Typeflag: tar.TypeLink, Name: "lib/a-1/passwd", Linkname: "/etc/passwd"}}
	setuid := file("lib/a-1/sh", "x")
	setuid.Mode = 0o4755
	for name, test := range map[string]struct {
		members []member
		want    Code
	}{
		"parent":             {[]member{file("../x", "x")}, UnsafePath},
		"parent inside":      {[]member{file("lib/a-1/../../../x", "x")}, UnsafePath},
		"parent in bin":      {[]member{file("bin/../../x", "x")}, UnsafePath},
		"absolute":           {[]member{file("/etc/cron.d/x", "x")}, UnsafePath},
		"escape sequence":    {[]member{file("lib/a-1/\x1b[2J", "x")}, UnsafePath},
		"double slash":       {[]member{file("lib//a-1/x", "x")}, UnsafePath},
		"deep":               {[]member{file("lib/"+strings.Repeat("d/", 40)+"x", "x")}, UnsafePath},
		"long":               {[]member{file("lib/a-1/"+strings.Repeat("n", 300), "x")}, UnsafePath},
		"long in all":        {[]member{file("lib/a-1/"+strings.Repeat(strings.Repeat("n", 200)+"/", 25)+"x", "x")}, UnsafePath},
		"link out":           {[]member{link("lib/a-1/x", "/etc")}, UnsafePath},
		"link to sibling":    {[]member{link("lib/a-1/x", "../b-1")}, UnsafePath},
		"link through link":  {[]member{link("lib/a-1/x", "."), link("lib/a-1/y", "x/..")}, UnsafePath},
		"empty link":         {[]member{link("lib/a-1/x", "")}, UnsafePath},
		"write through link": {[]member{link("lib/a-1/x", "y"), file("lib/a-1/x/f", "x")}, UnsafeEntry},
		"link over file":     {[]member{file("lib/a-1/x", "x"), link("lib/a-1/x", "y")}, UnsafeEntry},
		"twice":              {[]member{file("lib/a-1/x", "x"), file("lib/a-1/x", "y")}, UnsafeEntry},
		"file below a file":  {[]member{file("lib/a-1/x", "x"), file("lib/a-1/x/y", "y")}, UnsafeEntry},
		"hard link":          {[]member{hard}, UnsafeEntry},
		"device":             {[]member{device}, UnsafeEntry},
		"fifo":               {[]member{fifo}, UnsafeEntry},
		"setuid":             {[]member{setuid}, UnsafeEntry},
		"nothing":            {nil, NotAPackage},
	} {
		t.Run(name, func(t *testing.T) {
			v, outside := open(t, t.TempDir()), v // a fresh volume: what is outside its stage must stay empty
			refused(t, v, pack(t, test.members), test.want)
			if diff := cmp.Diff(list(t, outside.root), list(t, v.root)); diff != "" {
				t.Errorf("the volume has changed:\n%s", diff)
			}
		})
	}
}

func TestNamesThatDoNotGoTogetherAreRefusedAlsoWhereNothingIsWritten(t *testing.T) {
	const app = "lib/greet-1.0.0/ebin/greet.app" // the volume has it
	for name, add := range map[string]member{
		"twice":             file(app, "y"),
		"file below a file": file(app+"/y", "y"),
		"file over a dir":   file("lib/greet-1.0.0/ebin", "y"),
		"link over a file":  link(app, "y"),
		"link out":          link("lib/greet-1.0.0/x", "/etc"),
		"link over a dir":   link("lib/greet-1.0.0/ebin", "y"),
	} {
		t.Run(name, func(t *testing.T) {
			v := seeded(t)
			before := list(t, v.Path(libDir))
			want := UnsafeEntry
			if name == "link out" {
				want = UnsafePath
			}
			refused(t, v, pack(t, append(thin("1.1.0"), add)), want)
			if diff := cmp.Diff(before, list(t, v.Path(libDir))); diff != "" {
				t.Errorf("lib has changed:\n%s", diff)
			}
		})
	}
}

func TestOddButLegalPackagesAreAccepted(t *testing.T) {
	dir := func(name string) member {
		return member{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700}}
	}
	dotted := thin("1.0.0")
	for n := range dotted {
		dotted[n].Name = "./" + dotted[n].Name
	}
	for name, members := range map[string][]member{
		"directories":          append([]member{dir("./"), dir("lib/"), dir("lib/demo-1.0.0/"), dir("lib/demo-1.0.0/")}, thin("1.0.0")...),
		"names with a dot":     dotted,
		"link inside":          append(thin("1.0.0"), link("lib/demo-1.0.0/priv/current", "../ebin/demo.app")),
		"no .rel in releases":  without("releases/demo.rel", thin("1.0.0")),
		"no .rel in version":   without("releases/1.0.0/demo.rel", thin("1.0.0")),
		"rel named by version": append(without("demo.rel", thin("1.0.0")), file("releases/demo-1.0.0.rel", thin("1.0.0")[4].content)),
		"relx helper":          append(thin("1.0.0"), file("releases/1.0.0/start_clean.rel", "{release}.")),
		"version with a plus":  thin("1.0.0-rc.1+build.7"),
		"read-only files":      append(thin("1.0.0"), member{tar.Header{Typeflag: tar.TypeReg, Name: "lib/demo-1.0.0/x", Mode: 0o400}, ""}),
	} {
		t.Run(name, func(t *testing.T) {
			v := open(t, t.TempDir())
			r := publish(t, v, members)
			if err := v.Verify(r.Version); err != nil {
				t.Error(err)
			}
			if !holds(osDisk{}, v.RelFile(r.Version), []byte(thin(r.Version)[5].content)) {
				t.Error("the .rel is not where set_unpacked looks for it")
			}
		})
	}
}

func TestWhatHasNoPlaceOnTheVolumeIsNamed(t *testing.T) {
	v := open(t, t.TempDir())
	s := stage(t, v, append(thin("1.0.0"), file("etc/app.conf", "x"), file("README", "x")))
	if diff := cmp.Diff([]string{"README", "etc"}, s.Skipped); diff != "" {
		t.Error(diff)
	}
}

func TestTruncatedPackageSaysSo(t *testing.T) {
	v := open(t, t.TempDir())
	whole := pack(t, thin("1.0.0"))
	for tenth := 1; tenth < 10; tenth++ {
		refusal := refused(t, v, whole[:len(whole)*tenth/10], Truncated)
		if !strings.Contains(refusal.Error(), "ends too early") {
			t.Error(refusal)
		}
	}
	for missing := 1; missing <= 8; missing++ { // the trailer alone
		refused(t, v, whole[:len(whole)-missing], Truncated)
	}
}

func TestDamagedPackageSaysSo(t *testing.T) {
	v := open(t, t.TempDir())
	whole := pack(t, thin("1.0.0"))
	wrongSum := bytes.Clone(whole)
	wrongSum[len(wrongSum)-8] ^= 1
	refused(t, v, wrongSum, Damaged)
	wrongSize := bytes.Clone(whole)
	wrongSize[len(wrongSize)-4] ^= 1
	refused(t, v, wrongSize, Damaged)
	refused(t, v, append(bytes.Clone(whole), "garbage"...), Damaged)
	refused(t, v, append(bytes.Clone(whole), whole...), Damaged)
}

func TestWhatIsNotATarballSaysSo(t *testing.T) {
	v := open(t, t.TempDir())
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := io.WriteString(w, strings.Repeat("this is no archive ", 100))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{[]byte("PK\x03\x04 a zip file"), []byte(strings.Repeat("text ", 100)), zipped.Bytes()} {
		if refusal := refused(t, v, content, NotAPackage); !strings.Contains(refusal.Error(), "not a tarball") {
			t.Error(refusal)
		}
	}
	refused(t, v, nil, NotAPackage)
}

func TestBombsAreRefused(t *testing.T) {
	v := open(t, t.TempDir())
	refused(t, v, pack(t, []member{file("lib/a-1/zeros", strings.Repeat("\x00", freeRatioBytes+1))}), TooLarge)
	v.Limits.UnpackedBytes = 1000
	refused(t, v, pack(t, thin("1.0.0")), TooLarge)
	v.Limits = DefaultLimits
	v.Limits.Entries = 3
	refused(t, v, pack(t, thin("1.0.0")), TooLarge)
	v.Limits = DefaultLimits
	v.Limits.PackageBytes = 10
	_, err := v.Receive(context.Background(), bytes.NewReader(pack(t, thin("1.0.0"))), nil)
	refusedWith(t, err, TooLarge)
	if leftovers := list(t, v.agentPath("packages")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestReceiveEndsWithItsCaller(t *testing.T) {
	v := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	_, err := v.Receive(ctx, bytes.NewReader(make([]byte, 10<<20)), func(int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if leftovers := list(t, v.agentPath("packages")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestPackageChangedOnTheVolumeIsNotUsed(t *testing.T) {
	v := open(t, t.TempDir())
	pkg := receive(t, v, pack(t, thin("1.0.0")))
	write(t, v.packagePath(pkg.Digest), string(pack(t, thin("1.1.0"))))
	_, err := v.Stage(context.Background(), pkg, "", nil)
	refusedWith(t, err, Damaged)
}
