package volume

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
)

// The benchmarks walk a package with ERTS and OTP inside through the steps of an upgrade, onto a volume that
// holds the release before it: the same but for one application.

func BenchmarkReceive(b *testing.B) {
	v := open(b, b.TempDir())
	content := pack(b, heavy(b, "1.1.0"))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		pkg, err := v.Receive(context.Background(), bytes.NewReader(content), nil)
		must(b, err)
		b.StopTimer()
		must(b, v.Discard(pkg))
		b.StartTimer()
	}
}

func BenchmarkStage(b *testing.B) {
	v := open(b, b.TempDir())
	publishHeavy(b, v)
	pkg := receive(b, v, pack(b, heavy(b, "1.1.0")))
	b.SetBytes(pkg.Size)
	for b.Loop() {
		s, err := v.Stage(context.Background(), pkg, "demo", nil)
		must(b, err)
		b.StopTimer()
		must(b, s.Discard())
		b.StartTimer()
	}
}

func BenchmarkPublish(b *testing.B) {
	v := open(b, b.TempDir())
	publishHeavy(b, v)
	content := pack(b, heavy(b, "1.1.0"))
	for b.Loop() {
		b.StopTimer()
		s, err := v.Stage(context.Background(), receive(b, v, content), "demo", nil)
		must(b, err)
		b.StartTimer()
		_, err = s.Publish(Image{})
		must(b, err)
		b.StopTimer()
		must(b, v.Remove("1.1.0"))
		b.StartTimer()
	}
}

func publishHeavy(b *testing.B, v *Volume) {
	b.Helper()
	s := stage(b, v, heavy(b, "1.0.0"))
	r, err := s.Publish(Image{})
	must(b, err)
	must(b, v.Seed(r.Version, r.Package))
}

// heavy is a package of 20 MB in 200 files, which compress to about a half as those of OTP do: they are pieces
// of this test's own machine code.
func heavy(b *testing.B, version string) []member {
	b.Helper()
	path, err := os.Executable()
	must(b, err)
	code := read(b, path)
	next := func(size int) string {
		at := (len(code) - size) / 7
		code = code[at:] + code[:at]
		return code[:size]
	}
	members := append(full(version), file("erts-13.1.5/bin/beam.smp", next(5<<20)))
	for n := range 200 {
		lib := []string{"kernel-8.5.3", "stdlib-4.2", "greet-1.0.0", "demo-" + version}[min(n/60, 3)]
		members = append(members, file(fmt.Sprintf("lib/%s/ebin/module_%d.beam", lib, n), next(75<<10)))
	}
	return members
}
