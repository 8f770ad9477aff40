package hostile

import (
	"fmt"
	"strings"
)

const (
	upwards   = `leads upwards with ".."`
	absolute  = "is absolute"
	notPlain  = "is no plain path"
	control   = "has control characters"
	notUTF8   = "is not UTF-8"
	tooLong   = "a name in the package is too long"
	leadsOut  = "a link in the package leads out of lib/"
	circle    = "links in the package lead in a circle"
	noDir     = "which is no directory"
	twice     = "twice, or as a file and as a directory"
	noHard    = "a hard link to what is no file before it"
	noFile    = "is no file"
	sentinel  = "outside/sentinel"
	unsafe    = "unsafe-path"
	unsafeEnt = "unsafe-entry"
)

// names are entries whose name is the trick.
func names() []Case {
	var cases []Case
	add := func(about, words string, name func(p *pkg) string) {
		cases = append(cases, Case{Name: "name-" + about, Code: unsafe, Words: words, build: with(func(p *pkg) { p.file(name(p), "evil") })})
	}
	fixed := func(name string) func(*pkg) string { return func(*pkg) string { return name } }
	inLib := func(name string) func(*pkg) string { return func(p *pkg) string { return p.lib(name) } }
	for n := 1; n <= 8; n++ {
		add(fmt.Sprintf("up-%d", n), upwards, fixed(strings.Repeat("../", n)+sentinel))
	}
	add("up-from-lib", upwards, inLib("../../../../../../"+sentinel))
	add("up-from-bin", upwards, fixed("bin/../../"+sentinel))
	add("up-behind-a-dot", upwards, fixed("./../"+sentinel))
	add("up-and-back", upwards, inLib("priv/../priv/x"))
	add("up-at-the-end", upwards, inLib("priv/.."))
	add("absolute", absolute, func(p *pkg) string { return p.Outside + "/sentinel" })
	add("absolute-new", absolute, func(p *pkg) string { return p.Outside + "/new" })
	add("absolute-twice", absolute, fixed("//etc/cron.d/x"))
	add("dot-and-absolute", notPlain, fixed(".//etc/cron.d/x"))
	add("double-slash", notPlain, fixed("lib//x-1/y"))
	add("dot-inside", notPlain, inLib("./priv/x"))
	add("dot-alone", notPlain, fixed("."))
	add("none", notPlain, fixed(""))
	add("slash-behind-a-file", notPlain, inLib("priv/data/"))
	add("newline", control, inLib("priv/a\nb"))
	add("escape-sequence", control, inLib("priv/\x1b[2J"))
	add("delete", control, inLib("priv/\x7f"))
	add("eight-bit-escape", control, inLib("priv/\u009b2J"))
	add("right-to-left", control, inLib("priv/\u202egnp.exe"))
	add("line-separator", control, inLib("priv/a\u2028b"))
	add("no-utf8", notUTF8, inLib("priv/\xff\xfe"))
	add("overlong-slash", notUTF8, inLib("priv/..\xc0\xaf.."))
	add("surrogate", notUTF8, inLib("priv/\xed\xa0\x80"))
	add("deep", "more than 32 components", fixed("lib/"+strings.Repeat("d/", 40)+"x"))
	add("deep-in-bin", "more than 32 components", fixed("bin/"+strings.Repeat("d/", 40)+"x"))
	return append(cases, longNames()...)
}

func longNames() []Case {
	long := func(about string, add func(p *pkg)) Case {
		return Case{Name: "name-" + about, Code: unsafe, Words: tooLong, build: with(add)}
	}
	return []Case{
		long("long-component", func(p *pkg) { p.pax("path", p.lib(strings.Repeat("n", 300))); p.file("x", "x") }),
		long("long-in-all", func(p *pkg) {
			p.pax("path", p.lib(strings.Repeat(strings.Repeat("n", 200)+"/", 6)+"x"))
			p.file("x", "x")
		}),
		long("long-as-gnu", func(p *pkg) { p.gnu(typeGNUName, p.lib(strings.Repeat("n/", 4000))+"x"); p.file("x", "x") }),
		{Name: "directory-up", Code: unsafe, Words: upwards, build: with(func(p *pkg) { p.dir("../outside/new/") })},
		{Name: "directory-absolute", Code: unsafe, Words: absolute, build: with(func(p *pkg) { p.dir(p.Outside + "/new/") })},
		{Name: "directory-two-slashes", Code: unsafe, Words: notPlain, build: with(func(p *pkg) { p.dir(p.lib("priv//")) })},
		{Name: "directory-deep", Code: unsafe, Words: "more than 32 components", build: with(func(p *pkg) { p.dir("lib/" + strings.Repeat("d/", 40)) })},
	}
}

// links are symbolic and hard ones.
func links() []Case {
	var cases []Case
	add := func(about, code, words string, build func(p *pkg)) {
		cases = append(cases, Case{Name: "link-" + about, Code: code, Words: words, build: with(build)})
	}
	to := func(about, words, target string) {
		add(about, unsafe, words, func(p *pkg) { p.symlink(p.lib("priv/x"), target) })
	}
	add("absolute", unsafe, leadsOut, func(p *pkg) { p.symlink(p.lib("priv/x"), p.Outside) })
	to("up", leadsOut, "../../../../../../outside")
	to("to-another-application", leadsOut, "../../kernel-1/ebin")
	to("to-the-records", leadsOut, "../../../releases/RELEASES")
	to("not-clean", leadsOut, "x/../../y")
	to("to-nothing", leadsOut, "")
	to("to-an-escape-sequence", leadsOut, "\x1b[2J")
	to("to-itself", circle, "x")
	add("in-a-circle", unsafe, circle, func(p *pkg) { p.symlink(p.lib("a"), "b"); p.symlink(p.lib("b"), "c"); p.symlink(p.lib("c"), "a") })
	add("in-a-circle-of-directories", unsafe, circle, func(p *pkg) { p.symlink(p.lib("a"), "b/x"); p.symlink(p.lib("b"), "a/y") })
	add("chain-of-50", unsafe, circle, func(p *pkg) {
		for n := range 50 {
			p.symlink(p.lib(fmt.Sprint("l", n)), fmt.Sprint("l", n+1))
		}
	})
	add("through-a-link", unsafe, leadsOut, func(p *pkg) { p.symlink(p.lib("x"), "."); p.symlink(p.lib("y"), "x/..") })
	add("long", unsafe, tooLong, func(p *pkg) { p.pax("linkpath", strings.Repeat("n/", 2000)+"n"); p.symlink(p.lib("x"), "y") })
	add("name-absolute", unsafe, absolute, func(p *pkg) { p.symlink(p.Outside+"/new", "sentinel") })
	add("write-through", unsafeEnt, twice, func(p *pkg) { p.symlink(p.lib("x"), "priv"); p.file(p.lib("x/new"), "x") })
	add("write-through-before", unsafeEnt, twice, func(p *pkg) { p.file(p.lib("x/new"), "x"); p.symlink(p.lib("x"), "priv") })
	add("over-a-file", unsafeEnt, twice, func(p *pkg) { p.symlink(p.lib("priv/data"), "other") })
	for _, c := range [][2]string{{"RELEASES", "releases/RELEASES"}, {"start-erl", "releases/start_erl.data"}, {"cookie", "releases/COOKIE"}, {"rel", "releases/x.rel"}} {
		add("in-the-place-of-"+c[0], unsafeEnt, noDir, func(p *pkg) { p.symlink(c[1], p.Outside+"/sentinel") })
	}
	for _, c := range [][2]string{{"lib", "lib"}, {"releases", "releases"}, {"erts", "erts-13.1.5"}} {
		cases = append(cases, Case{Name: "link-in-the-place-of-" + c[0], Code: unsafeEnt, Words: noDir, build: func(p *pkg) { p.symlink(c[1], p.Outside); with(func(*pkg) {})(p) }})
	}
	cases = append(cases,
		Case{Name: "link-in-the-place-of-the-application", Code: unsafeEnt, Words: noDir, build: func(p *pkg) { p.symlink("lib/"+p.Name+"-"+p.Version, p.Outside); good(p) }},
		Case{Name: "link-in-the-place-of-the-version", Code: unsafeEnt, Words: noDir, build: func(p *pkg) { p.symlink("releases/"+p.Version, p.Outside); good(p) }})
	for _, name := range []string{"sys.config", "vm.args", "relup"} {
		cases = append(cases, Case{Name: "link-in-the-place-of-" + name, Code: unsafeEnt, Words: noFile, build: func(p *pkg) {
			p.release("/" + name)
			p.symlink(p.in(name), "start.boot")
			p.end()
		}})
	}
	return append(cases, hardLinks()...)
}

func hardLinks() []Case {
	hard := func(about, words string, build func(p *pkg)) Case {
		return Case{Name: "hard-link-" + about, Code: unsafeEnt, Words: words, build: with(build)}
	}
	return []Case{
		hard("absolute", noHard, func(p *pkg) { p.hard(p.lib("priv/x"), p.Outside+"/sentinel") }),
		hard("up", noHard, func(p *pkg) { p.hard(p.lib("priv/x"), "../../../../"+sentinel) }),
		hard("to-what-is-not-there", noHard, func(p *pkg) { p.hard(p.lib("priv/x"), p.lib("priv/y")) }),
		hard("to-what-comes-later", noHard, func(p *pkg) { p.hard(p.lib("priv/x"), p.lib("priv/y")); p.file(p.lib("priv/y"), "y") }),
		hard("to-itself", noHard, func(p *pkg) { p.hard(p.lib("priv/x"), p.lib("priv/x")) }),
		hard("to-a-directory", noHard, func(p *pkg) { p.hard(p.lib("x"), p.lib("priv")) }),
		hard("to-a-link", noHard, func(p *pkg) { p.symlink(p.lib("y"), "priv"); p.hard(p.lib("x"), p.lib("y")) }),
		hard("to-another-application", noHard, func(p *pkg) { p.file("lib/x-1/y", "y"); p.hard(p.lib("x"), "lib/x-1/y") }),
		hard("to-the-records", noHard, func(p *pkg) { p.hard(p.lib("x"), "releases/RELEASES") }),
		hard("over-a-file", twice, func(p *pkg) { p.hard(p.lib("priv/data"), p.lib("ebin/"+p.Name+".app")) }),
		{Name: "hard-link-bomb", Code: "too-large", Words: "unpacks to more than 1048576 bytes", Limits: "unpacked=1M", build: with(func(p *pkg) {
			p.file(p.lib("big"), strings.Repeat("x", 64<<10))
			for n := range 20 {
				p.hard(p.lib(fmt.Sprint("l", n)), p.lib("big"))
			}
		})},
	}
}
