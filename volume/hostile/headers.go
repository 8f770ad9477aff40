package hostile

import "strings"

const (
	damagedHeader  = "a header of its tar archive cannot be read, behind"
	headerTooLarge = "a header of the package's tar archive is too large, behind"
)

// headers say what no header should.
func headers() []Case {
	h := func(about, code, words string, build func(p *pkg)) Case {
		return Case{Name: "header-" + about, Code: code, Words: words, build: with(build)}
	}
	damaged := func(about string, build func(p *pkg)) Case { return h(about, "damaged", damagedHeader, build) }
	pax := func(about, code, words string, records ...string) Case {
		return h("pax-"+about, code, words, func(p *pkg) { p.pax(records...); p.file(p.lib("priv/x"), "x") })
	}
	text := func(about, text string) Case {
		return damaged("pax-"+about, func(p *pkg) { p.paxText(typePAX, text); p.file(p.lib("priv/x"), "x") })
	}
	size := func(about, code, words, size string) Case {
		return h("size-"+about, code, words, func(p *pkg) { p.header(header{kind: typeFile, name: p.lib("priv/x"), size: size}) })
	}
	field := func(about string, h header) Case {
		return damaged(about, func(p *pkg) { h.kind, h.name = typeFile, p.lib("priv/x"); p.header(h) })
	}
	return []Case{
		pax("path-up", unsafe, upwards, "path", "../../../../"+sentinel),
		pax("path-absolute", unsafe, absolute, "path", "/etc/cron.d/x"),
		pax("path-nul", "damaged", damagedHeader, "path", "lib/x-1/y\x00/../../../etc"),
		pax("path-up-after-a-good-one", unsafe, upwards, "path", "lib/x-1/y", "path", "../x"),
		pax("size-negative", "damaged", damagedHeader, "size", "-1"),
		pax("size-no-number", "damaged", damagedHeader, "size", "many"),
		pax("size-of-exabytes", "truncated", noEnd, "size", "9223372036854775807"),
		pax("size-beyond", "damaged", damagedHeader, "size", "92233720368547758070"),
		damaged("pax-size-hides-a-header", func(p *pkg) { p.pax("size", "1024"); p.file(p.lib("priv/x"), "x"); p.file(p.lib("priv/y"), "y") }),
		pax("time-no-number", "damaged", damagedHeader, "mtime", "yesterday"),
		pax("owner-no-number", "damaged", damagedHeader, "uid", "root"),
		pax("huge", "too-large", headerTooLarge, "comment", strings.Repeat("x", 2<<20)),
		h("pax-link-out", unsafe, leadsOut, func(p *pkg) { p.pax("linkpath", "/etc/passwd"); p.symlink(p.lib("x"), "y") }),
		h("pax-hard-link-out", unsafeEnt, noHard, func(p *pkg) { p.pax("linkpath", "/etc/passwd"); p.hard(p.lib("x"), "y") }),
		h("pax-for-all", unsafeEnt, "a header for all of its files", func(p *pkg) { p.paxText(typeGlobal, paxRecords("path", "../x")); p.file(p.lib("priv/x"), "x") }),
		h("pax-for-all-size", unsafeEnt, "a header for all of its files", func(p *pkg) { p.paxText(typeGlobal, paxRecords("size", "0")); p.file(p.lib("priv/x"), "x") }),
		text("length-wrong", "99 path=x\n"),
		text("length-zero", "0 path=x\n"),
		text("length-negative", "-5 path=x\n"),
		text("length-huge", "99999999999999999999 path=x\n"),
		text("without-equals", "9 pathx/\n"),
		text("without-end", "10 path=xx"),
		text("without-key", "5 =x\n"),
		text("no-text", "\x00\x01\x02\x03"),
		h("gnu-name-up", unsafe, upwards, func(p *pkg) { p.gnu(typeGNUName, "../../../../"+sentinel); p.file("x", "x") }),
		h("gnu-name-absolute", unsafe, absolute, func(p *pkg) { p.gnu(typeGNUName, "/etc/cron.d/x"); p.file("x", "x") }),
		h("gnu-name-huge", "too-large", headerTooLarge, func(p *pkg) { p.gnu(typeGNUName, strings.Repeat("x", 2<<20)); p.file("x", "x") }),
		h("gnu-link-out", unsafe, leadsOut, func(p *pkg) { p.gnu(typeGNULink, "/etc/passwd"); p.symlink(p.lib("x"), "y") }),
		h("gnu-link-huge", "too-large", headerTooLarge, func(p *pkg) { p.gnu(typeGNULink, strings.Repeat("x", 2<<20)); p.symlink(p.lib("x"), "y") }),
		h("prefix-up", unsafe, upwards, func(p *pkg) { p.entry(header{kind: typeFile, name: sentinel, prefix: "../../../.."}, "x") }),
		h("prefix-absolute", unsafe, absolute, func(p *pkg) { p.entry(header{kind: typeFile, name: "x", prefix: "/etc/cron.d"}, "x") }),
		size("negative", "damaged", damagedHeader, strings.Repeat("\xff", 12)),
		size("of-exabytes", "truncated", noEnd, "\x80\x00\x00\x00\x7f"+strings.Repeat("\xff", 7)),
		size("beyond", "damaged", damagedHeader, "\x80\x7f"+strings.Repeat("\xff", 10)),
		size("no-number", "damaged", damagedHeader, "0000zzzz000\x00"),
		size("octal-of-gigabytes", "truncated", noEnd, octal(8<<30-1)),
		field("mode-no-number", header{mode: "rw-r--r-"}),
		field("owner-no-number", header{uid: "nobody\x00\x00"}),
		field("time-no-number", header{mtime: "tomorrow\x00\x00\x00\x00"}),
		field("sum-wrong", header{sum: "000123\x00 "}),
		field("sum-none", header{sum: "\x00\x00\x00\x00\x00\x00\x00\x00"}),
		damaged("directory-with-content", func(p *pkg) { p.entry(header{kind: typeDir, name: p.lib("d/")}, pad("content", 512)) }),
		damaged("link-with-content", func(p *pkg) { p.entry(header{kind: typeSymlink, name: p.lib("l"), link: "priv"}, pad("content", 512)) }),
		damaged("of-garbage", func(p *pkg) { p.write([]byte(strings.Repeat("garbage ", 64))) }),
	}
}
