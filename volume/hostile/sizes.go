package hostile

import (
	"fmt"
	"strings"
)

// sizes ask for more than there is, or than anybody waits for.
func sizes() []Case {
	size := func(about, limits, words string, build func(p *pkg)) Case {
		return Case{Name: "size-" + about, Code: "too-large", Words: words, Limits: limits, build: build}
	}
	ratio := "unpacks to more than 100 times its size"
	zeros := func(name func(p *pkg) string) func(*pkg) {
		return with(func(p *pkg) {
			p.header(header{kind: typeFile, name: name(p), size: octal(70 << 20)})
			p.zeros(70 << 20)
		})
	}
	return []Case{
		size("zeros-in-lib", "", ratio, zeros(func(p *pkg) string { return p.lib("priv/zeros") })),
		size("zeros-in-bin", "", ratio, zeros(func(*pkg) string { return "bin/zeros" })),
		size("zeros-at-the-top", "", ratio, zeros(func(*pkg) string { return "zeros" })),
		size("zeros-behind-the-end", "", ratio, with(func(p *pkg) { p.end(); p.zeros(70 << 20) })),
		size("headers-without-a-file", "", ratio, with(func(p *pkg) {
			for range 100 {
				p.pax("comment", strings.Repeat("x", 1000<<10))
			}
		})),
		size("names-without-a-file", "", ratio, with(func(p *pkg) {
			for range 100 {
				p.gnu(typeGNUName, strings.Repeat("x", 1000<<10))
			}
		})),
		size("unpacked", "unpacked=1M", "unpacks to more than 1048576 bytes", with(func(p *pkg) { p.file(p.lib("priv/x"), strings.Repeat("x", 2<<20)) })),
		size("unpacked-in-headers", "unpacked=1M", "unpacks to more than 1048576 bytes", with(func(p *pkg) {
			for range 5 {
				p.pax("comment", strings.Repeat("x", 500<<10))
			}
		})),
		size("package", "package=100", "the package is larger than 100 bytes", good),
		size("files", "files=5", "more than 5 files and directories", good),
		size("files-that-are-left-out", "files=50", "more than 50 files and directories", with(func(p *pkg) {
			for n := range 50 {
				p.file(fmt.Sprint("bin/", n), "")
			}
		})),
		size("directories-that-nobody-names", "files=100", "more than 100 files and directories", with(func(p *pkg) {
			for n := range 5 {
				p.file(fmt.Sprintf("lib/x-1/%d/%sx", n, strings.Repeat("d/", 25)), "")
			}
		})),
		size("names", "names=10K", "the names in the package have more than 10240 bytes together", with(func(p *pkg) {
			for n := range 50 {
				p.pax("path", p.lib(fmt.Sprint(strings.Repeat("n", 240), n)))
				p.file("x", "")
			}
		})),
		size("targets", "names=10K", "the names in the package have more than 10240 bytes together", with(func(p *pkg) {
			for n := range 50 {
				p.pax("linkpath", strings.Repeat("n", 240))
				p.symlink(p.lib(fmt.Sprint("l", n)), "")
			}
		})),
		size("texts", "text=10", ".rel is larger than 10 bytes", good),
		many(200_001, "files-200001", "more than 200000 files and directories", func(p *pkg, n int) { p.file(p.lib(fmt.Sprint("f", n)), "") }),
		many(7000, "directories-200000", "more than 200000 files and directories", func(p *pkg, n int) { p.file(fmt.Sprintf("lib/x-1/%d/%sx", n, strings.Repeat("d/", 28)), "") }),
		many(35_000, "names-32M", "more than 33554432 bytes together", func(p *pkg, n int) {
			p.pax("path", p.lib(fmt.Sprint(strings.Repeat(strings.Repeat("n", 240)+"/", 3), strings.Repeat("n", 240), n)))
			p.file("x", "")
		}),
		many(20, "texts-of-64M", "its .rel, .app and configuration files have more than 67108864 bytes together", func(p *pkg, n int) {
			p.file(p.in(fmt.Sprint("a", n, ".rel")), strings.Repeat(" ", 4<<20))
		}),
		{Name: "size-names-out-of-large-headers", Code: unsafeEnt, Words: "a fifo", Limits: "ratio=1000000", build: with(func(p *pkg) {
			for n := range 400 {
				p.pax("comment", strings.Repeat("x", 1000<<10), "path", p.lib(fmt.Sprint("f", n)))
				p.file("x", "")
			}
			p.entry(header{kind: typeFifo, name: "fifo"}, "")
		})},
		{Name: "size-applications-100000", Code: "needs-image", Words: "which neither the package nor the image has", build: func(p *pkg) {
			var apps strings.Builder
			for n := range 49_000 {
				fmt.Fprintf(&apps, ",\n{a%d,\"1\"}", n)
			}
			p.release(".rel")
			p.file(p.in(p.Name+".rel"), p.rel(apps.String()))
			p.end()
		}},
		{Name: "size-releases-2000", Code: "wrong-version", Words: "more than one release", Limits: "ratio=1000000", build: with(func(p *pkg) {
			for n := range 2000 {
				p.file(fmt.Sprintf("releases/%d/start.boot", n), "")
			}
		})},
	}
}

// many of something small compress well: the ratio is not what they are refused for.
func many(n int, about, words string, add func(p *pkg, n int)) Case {
	return Case{Name: "size-" + about, Code: "too-large", Words: words, Limits: "ratio=1000000", Many: n > 5000, build: with(func(p *pkg) {
		for i := range n {
			add(p, i)
		}
	})}
}
