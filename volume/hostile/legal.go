package hostile

import (
	"debug/elf"
	"fmt"
	"strings"
	"time"
)

// Legal are packages that look odd and are good.
func Legal() []Case {
	ok := func(about string, build func(p *pkg)) Case { return Case{Name: "legal-" + about, build: build} }
	long := strings.Repeat("long/", 10) + strings.Repeat("n", 120)
	meta := func(change func(h *header)) func(*pkg) {
		return with(func(p *pkg) {
			h := header{kind: typeFile, name: p.lib("priv/x")}
			change(&h)
			p.entry(h, "x")
		})
	}
	reversed := func(p *pkg) {
		files := p.files()
		for n := range files {
			p.file(files[len(files)-1-n][0], files[len(files)-1-n][1])
		}
		for _, dir := range []string{p.lib("priv/"), p.lib(""), "lib/", p.in(""), "releases/", "./"} {
			p.dir(dir)
		}
		p.end()
	}
	return []Case{
		ok("as-it-is", good),
		ok("templates-of-the-configuration", func(p *pkg) {
			for _, f := range p.files() {
				if f[0] != p.in("sys.config") && f[0] != p.in("vm.args") {
					p.file(f[0], f[1])
				}
			}
			p.file(p.in("sys.config.src"), "[{demo,[{port,${PORT:-8080}}]}].")
			p.file(p.in("vm.args.src"), "-name demo@${HOST:-127.0.0.1}")
			p.end()
		}),
		ok("pax-long-name", with(func(p *pkg) { p.pax("path", p.lib(long)); p.file("x", "x") })),
		ok("gnu-long-name", with(func(p *pkg) { p.gnu(typeGNUName, p.lib(long)); p.file("x", "x") })),
		ok("gnu-long-link", with(func(p *pkg) { p.gnu(typeGNULink, strings.Repeat("n", 150)); p.symlink(p.lib("priv/l"), "short") })),
		ok("gnu-name-cut-at-a-nul", with(func(p *pkg) { p.gnu(typeGNUName, p.lib("priv/x")+"\x00/../../../../etc/passwd"); p.file("y", "x") })),
		ok("ustar-prefix", with(func(p *pkg) {
			p.entry(header{kind: typeFile, prefix: p.lib(strings.Repeat("d/", 20) + "d"), name: "x"}, "x")
		})),
		ok("names-with-a-dot", func(p *pkg) {
			p.dir("./")
			for _, f := range p.files() {
				p.file("./"+f[0], f[1])
			}
			p.end()
		}),
		ok("directories-behind-their-files", reversed),
		ok("directories-twice", with(func(p *pkg) { p.dir(p.lib("d/")); p.dir(p.lib("d")); p.dir("./" + p.lib("d/")) })),
		ok("directories-empty-and-elsewhere", with(func(p *pkg) { p.dir("log/"); p.dir(p.lib("empty/")) })),
		ok("directory-of-an-old-tar", with(func(p *pkg) { p.header(header{kind: 0, name: p.lib("d/"), magic: "\x00\x00\x00\x00\x00\x00\x00\x00"}) })),
		ok("directory-setgid", with(func(p *pkg) { p.header(header{kind: typeDir, name: p.lib("d/"), mode: "0002775\x00"}) })),
		ok("file-of-an-old-tar", meta(func(h *header) { h.kind, h.magic = 0, "\x00\x00\x00\x00\x00\x00\x00\x00" })),
		ok("file-empty", with(func(p *pkg) { p.file(p.lib("priv/empty"), "") })),
		ok("file-of-one-block", with(func(p *pkg) { p.file(p.lib("priv/x"), strings.Repeat("x", 512)) })),
		ok("mode-none", meta(func(h *header) { h.mode = "0000000\x00" })),
		ok("mode-all", meta(func(h *header) { h.mode = "0000777\x00" })),
		ok("mode-owner-only", meta(func(h *header) { h.mode = "0000400\x00" })),
		ok("owner-huge", meta(func(h *header) { h.uid = "\x80\x00\x00\x00\x7f\xff\xff\xff" })),
		ok("owner-named", meta(func(h *header) { h.owner = "żółw" })),
		ok("time-zero", meta(func(h *header) { h.mtime = octal(0) })),
		ok("time-before-1970", meta(func(h *header) { h.mtime = strings.Repeat("\xff", 12) })),
		ok("time-far-away", meta(func(h *header) { h.mtime = "77777777777\x00" })),
		ok("pax-times-and-attributes", with(func(p *pkg) {
			p.pax("mtime", "1700000000.123456789", "atime", "-1.5", "SCHILY.xattr.user.x", "y\x00z", "LIBARCHIVE.creationtime", "1", "comment", "c")
			p.file(p.lib("priv/x"), "x")
		})),
		ok("pax-size", with(func(p *pkg) {
			p.pax("size", "3")
			p.header(header{kind: typeFile, name: p.lib("priv/x")})
			p.content("abc")
		})),
		ok("size-in-base-256", with(func(p *pkg) {
			p.header(header{kind: typeFile, name: p.lib("priv/x"), size: "\x80" + strings.Repeat("\x00", 10) + "\x03"})
			p.content("abc")
		})),
		ok("size-in-octal-with-spaces", with(func(p *pkg) {
			p.header(header{kind: typeFile, name: p.lib("priv/x"), size: "         3 \x00"})
			p.content("abc")
		})),
		ok("link-inside", with(func(p *pkg) { p.symlink(p.lib("priv/current"), "../ebin"); p.symlink(p.lib("priv/next"), "current") })),
		ok("link-before-its-target", func(p *pkg) { p.symlink(p.lib("priv/l"), "data"); good(p) }),
		ok("link-to-nothing", with(func(p *pkg) { p.symlink(p.lib("priv/l"), "not/there") })),
		ok("link-that-is-left-out", with(func(p *pkg) { p.symlink("bin/l", "/usr/bin/env") })),
		ok("hard-link-inside", with(func(p *pkg) {
			p.hard(p.lib("priv/h"), p.lib("priv/data"))
			p.hard(p.lib("other/h"), "./"+p.lib("priv/h"))
		})),
		ok("names-that-differ-in-case", with(func(p *pkg) { p.file(p.lib("priv/x"), "x"); p.file(p.lib("priv/X"), "X") })),
		ok("names-that-differ-in-normalisation", with(func(p *pkg) { p.file(p.lib("priv/\u00e9"), "composed"); p.file(p.lib("priv/e\u0301"), "decomposed") })),
		ok("names-of-all-kinds", with(func(p *pkg) {
			p.file(p.lib(`priv/a b\c*?"'$;&|~`), "x")
			p.file(p.lib("priv/żółw 🐢"), "x")
			p.file(p.lib("priv/..."), "x")
			p.file(p.lib("priv/-rf"), "x")
		})),
		ok("records-and-cookie", with(func(p *pkg) {
			p.file("releases/RELEASES", "evil")
			p.file("releases/start_erl.data", "evil")
			p.file("releases/COOKIE", "evil")
		})),
		ok("what-has-no-place", with(func(p *pkg) {
			p.file("README", "x")
			p.file("etc/passwd", "x")
			p.file(".agent/state.json", "evil")
			p.file(".agent/lock", "evil")
			p.file("bin/erl", "x")
		})),
		ok("manifest", with(func(p *pkg) { p.file(p.in("MANIFEST"), "evil") })),
		ok("gzip-with-name-and-comment", func(p *pkg) {
			p.zipped.Name, p.zipped.Comment, p.zipped.Extra, p.zipped.OS = "../../etc/passwd", "a comment", []byte("extra"), 3
			p.zipped.ModTime = time.Unix(1<<31, 0)
			good(p)
		}),
		ok("padding-of-10-KiB", with(func(p *pkg) { p.end(); p.zeros(10 << 10) })),
		ok("rel-of-systools", func(p *pkg) { p.release(".rel"); p.file("releases/"+p.Name+"-"+p.Version+".rel", p.rel("")); p.end() }),
		ok("rel-named-otherwise", func(p *pkg) {
			p.release(".rel")
			p.file(p.in("other.rel"), p.rel(""))
			p.file(p.in("start_clean.rel"), "no term")
			p.end()
		}),
		ok("version-with-a-plus", func(p *pkg) { p.Version = "1.1.0-rc.1+build.7"; good(p) }),
		ok("config-at-its-largest", instead("sys.config", func(p *pkg) string { return "[{demo,[" + strings.Repeat("{},", 1398000) + "{}]}]." })),
		ok("relup-of-many", instead("relup", func(p *pkg) string {
			return fmt.Sprintf("{%q,[%s],[]}.", p.Version, strings.TrimSuffix(strings.Repeat(`{"0.1",[],[]},`, 200_000), ","))
		})),
		ok("modules-of-an-old-otp", with(func(p *pkg) {
			p.file(p.lib("ebin/old.beam"), beam(100))
			p.file(p.lib("priv/other.machine"), program(elf.EM_SPARCV9, "/lib/ld.so"))
		})),
		{Name: "legal-files-190000", Limits: "ratio=1000000", Many: true, build: with(func(p *pkg) {
			name := strings.Repeat("n", 60)
			for n := range 190_000 {
				p.file(p.lib(fmt.Sprintf("%s%06d", name, n)), "")
			}
		})},
		ok("erts-of-its-own", with(func(p *pkg) {
			p.file("erts-"+p.ERTS+"/bin/beam.smp", program(ourMachine, ""))
			p.file("erts-"+p.ERTS+"/bin/erl", "#!/bin/sh\n")
		})),
	}
}
