package hostile

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

// releases are good archives of releases that are none.
func releases() []Case {
	but := func(about, code, words string, without string, add func(p *pkg)) Case {
		return Case{Name: "release-" + about, Code: code, Words: words, build: func(p *pkg) { p.release(without); add(p); p.end() }}
	}
	lacks := func(about, code, words, without string) Case { return but(about, code, words, without, func(*pkg) {}) }
	adds := func(about, code, words string, add func(p *pkg)) Case { return but(about, code, words, "\x00", add) }
	cases := []Case{
		lacks("none", "no-rel", "there is no releases/<version>/", "releases/"),
		lacks("without-rel", "no-rel", "the package holds no .rel file", ".rel"),
		lacks("without-boot-script", "incomplete", "it has no boot script", ".boot"),
		lacks("without-config", "bad-config", "it has no sys.config", "sys.config"),
		lacks("without-app-file", "incomplete", "it lacks lib/", ".app"),
		lacks("without-the-application", "needs-image", "which neither the package nor the image has", "lib/"),
		adds("two-of-them", "wrong-version", "more than one release", func(p *pkg) { p.file("releases/9.9.9/start.boot", "boot") }),
		adds("a-directory-for-the-cookie", "wrong-version", "more than one release", func(p *pkg) { p.file("releases/COOKIE/x", "x") }),
		adds("a-directory-for-the-records", "wrong-version", "more than one release", func(p *pkg) { p.file("releases/RELEASES/x", "x") }),
		but("in-another-directory", "wrong-version", "its files are in releases/9.9.9", "releases/", func(p *pkg) {
			for _, f := range p.files() {
				if rest, in := strings.CutPrefix(f[0], p.in("")); in {
					p.file("releases/9.9.9/"+rest, f[1])
				}
			}
		}),
		but("args-huge", "too-large", "vm.args is larger than 4194304 bytes", "vm.args", func(p *pkg) { p.file(p.in("vm.args"), strings.Repeat("+x\n", 2<<20)) }),
		but("app-file-huge", "too-large", ".app is larger than 4194304 bytes", ".app", func(p *pkg) { p.file(p.lib("ebin/"+p.Name+".app"), strings.Repeat(" ", 5<<20)) }),
		but("app-file-a-link", unsafeEnt, noFile, ".app", func(p *pkg) { p.symlink(p.lib("ebin/"+p.Name+".app"), p.Name+".beam") }),
		adds("compiled-by-a-newer-otp", "needs-image", "was compiled by a newer OTP", func(p *pkg) { p.file(p.lib("ebin/new.beam"), beam(250)) }),
		adds("erts-of-another-machine", "needs-image", "is for another machine", func(p *pkg) { p.file("erts-"+p.ERTS+"/bin/beam.smp", program(elf.EM_SPARCV9, "/lib/ld.so")) }),
		adds("erts-of-another-libc", "needs-image", "is for another libc", func(p *pkg) { p.file("erts-"+p.ERTS+"/bin/beam.smp", program(ourMachine, "/lib/ld-theseus.so.1")) }),
	}
	return append(cases, texts()...)
}

// texts are those of a release, which the agent reads.
func texts() []Case {
	var cases []Case
	text := func(about, file, code, words string, text func(p *pkg) string) {
		cases = append(cases, Case{Name: about, Code: code, Words: words, build: instead(file, text)})
	}
	deep := func(open, close string) string {
		return strings.Repeat(open, 100_000) + strings.Repeat(close, 100_000) + "."
	}
	atoms := func() string {
		var b strings.Builder
		b.WriteString("[{demo,[a")
		for n := range 60_000 {
			fmt.Fprintf(&b, ",a%d", n)
		}
		return b.String() + "]}]."
	}
	fixed := func(text string) func(*pkg) string { return func(*pkg) string { return text } }
	for _, c := range [][3]string{
		{"empty", "cannot be read", ""},
		{"without-end", "line 1: expected a full stop", "[{demo,[]}]"},
		{"two-terms", "it holds 2 terms, not one", "[].\n[]."},
		{"a-tuple", "is not a list", "{demo,[]}."},
		{"an-atom-in-it", "which is not {Application, Parameters}", "[demo]."},
		{"code", "cannot be read", "[{demo,[{f,fun() -> halt() end}]}]."},
		{"a-variable", "cannot be read", "[{demo,[X]}]."},
		{"a-fun", "#Fun<shop.0.1> has no text form", "[{demo,[{f,#Fun<shop.0.1>}]}]."},
		{"a-process", "<0.71.0> has no text form", "[{demo,[{p,<0.71.0>}]}]."},
		{"deep-lists", "more than 256 levels of nesting", deep("[", "]")},
		{"deep-tuples", "more than 256 levels of nesting", deep("{", "}")},
		{"deep-maps", "more than 256 levels of nesting", strings.Repeat("#{a=>", 100_000)},
		{"many-atoms", "more than 50000 different atoms", atoms()},
		{"long-atom", "an atom of more than 255 characters", "[{" + strings.Repeat("a", 300) + ",[]}]."},
		{"huge-integer", "an integer of more than 4096 digits", "[{demo,[{a," + strings.Repeat("9", 1<<20) + "}]}]."},
		{"no-utf8", "not valid UTF-8", "[{demo,[{a,\"\xff\"}]}]."},
		{"open-string", "is not closed", "[{demo,\"" + strings.Repeat("x", 1<<20)},
		{"nul", "cannot be read", "\x00[{demo,[]}]\x00x."},
		{"not-closed-at-its-largest", "cannot be read", "[{demo,[" + strings.Repeat("{},", 1398000)},
	} {
		text("config-"+c[0], "sys.config", "bad-config", c[1], fixed(c[2]))
	}
	text("config-huge", "sys.config", "too-large", "sys.config is larger than 4194304 bytes", fixed("["+strings.Repeat(" ", 5<<20)+"]."))
	relup := func(rest string) func(*pkg) string {
		return func(p *pkg) string { return fmt.Sprintf("{%q,%s}.", p.Version, rest) }
	}
	for _, c := range [][3]string{
		{"without-end", "cannot be read", "[],[]"},
		{"of-two", "it is not {Version, Up, Down}", "[]"},
		{"up-no-list", "up: it is not a list", "x,[]"},
		{"down-no-list", "down: it is not a list", "[],x"},
		{"edge-no-tuple", "up: an element is not", "[x],[]"},
		{"instructions-no-list", "up: an element is not", `[{"1.0.0",[],x}],[]`},
		{"version-no-text", "up: an element is not", `[{v,[],[]}],[]`},
		{"deep", "more than 256 levels of nesting", strings.Repeat("[", 100_000)},
	} {
		if c[0] == "without-end" {
			text("relup-"+c[0], "relup", "bad-relup", c[1], func(p *pkg) string { return `{"` + p.Version + `",[],[]` })
			continue
		}
		text("relup-"+c[0], "relup", "bad-relup", c[1], relup(c[2]))
	}
	text("relup-to-another-version", "relup", "bad-relup", `its relup leads to "9.9.9"`, fixed(`{"9.9.9",[],[]}.`))
	text("relup-huge", "relup", "too-large", "relup is larger than 4194304 bytes", relup("["+strings.Repeat(" ", 5<<20)+"],[]"))
	return append(cases, rels()...)
}

// rels are resource files; release_handler and the agent make file names of what stands in them.
func rels() []Case {
	var cases []Case
	rel := func(about, code, words string, text func(p *pkg) string) {
		cases = append(cases, Case{Name: "rel-" + about, Code: code, Words: words, build: func(p *pkg) {
			p.release(".rel")
			p.file(p.in(p.Name+".rel"), text(p))
			p.end()
		}})
	}
	swap := func(from func(p *pkg) string, to string) func(*pkg) string {
		return func(p *pkg) string { return strings.Replace(p.rel(""), from(p), to, 1) }
	}
	version := func(p *pkg) string { return p.Version }
	app := func(p *pkg) string { return fmt.Sprintf("{%s,%q}", p.Name, p.Version) }
	name := func(p *pkg) string { return fmt.Sprintf("{%q,", p.Name) }
	erts := func(p *pkg) string { return p.ERTS }
	for _, v := range [][2]string{{"up", "../../x"}, {"dots", ".."}, {"hidden", ".agent"}, {"none", ""}, {"slash", "a/b"}, {"newline", "a\\nb"}, {"right-to-left", "a\\x{202e}b"}, {"long", strings.Repeat("1", 300)}} {
		rel("version-"+v[0], "bad-rel", "its name and version: ", swap(version, v[1]))
		rel("application-version-"+v[0], "bad-rel", "is not an application", swap(app, fmt.Sprintf(`{demo,"%s"}`, v[1])))
		rel("erts-"+v[0], "bad-rel", "its ERTS version cannot be used", swap(erts, v[1]))
	}
	rel("name-up", "bad-rel", "its name and version: ", swap(name, `{"../x",`))
	rel("application-up", "bad-rel", "is not an application", swap(app, `{'../../x',"1"}`))
	rel("application-twice", "bad-rel", "it names the application kernel twice", func(p *pkg) string { return p.rel(`,{kernel,"9"}`) })
	rel("version-of-another-release", "wrong-version", "is of version 9.9.9", swap(version, "9.9.9"))
	for _, v := range []string{"RELEASES", "start_erl.data", "new_start_erl.data", "COOKIE", "releases", "__new_emulator__1.0.0"} {
		cases = append(cases, Case{Name: "version-in-the-way-" + v, Code: "bad-rel", Words: "is the name of a record of OTP", build: func(p *pkg) { p.Version = v; good(p) }})
	}
	for _, c := range [][3]string{
		{"no-term", "it holds 0 terms", "% nothing"},
		{"not-closed", "cannot be read", `{release,{"demo",`},
		{"no-release", "it is not {release,", "{hello,world}."},
		{"no-erts", "it names no ERTS", `{release,{"demo","1.1.0"},{erts},[]}.`},
		{"no-applications", "it names no applications", `{release,{"demo","1.1.0"},{erts,"1"},[]}.`},
		{"deep", "more than 256 levels of nesting", strings.Repeat("{", 100_000)},
		{"code", "cannot be read", "{release,os:cmd(\"id\")}."},
	} {
		rel(c[0], "bad-rel", c[1], func(*pkg) string { return c[2] })
	}
	rel("huge", "too-large", ".rel is larger than 4194304 bytes", func(*pkg) string { return strings.Repeat(" ", 5<<20) })
	rel("needs-a-newer-kernel", "needs-image", "it needs a new image", swap(func(p *pkg) string { return fmt.Sprintf("{kernel,%q}", p.Kernel) }, `{kernel,"99.9"}`))
	rel("needs-a-newer-erts", "needs-image", "it needs a new image", swap(erts, "99.9"))
	return cases
}

// beam is the beginning of a module whose highest instruction this is.
func beam(instruction uint32) string {
	code := binary.BigEndian.AppendUint32([]byte("AtU8\x00\x00\x00\x05\x00\x00\x00\x01\x01\x00\x00\x00Code\x00\x00\x00\x10\x00\x00\x00\x10\x00\x00\x00\x00"), instruction)
	return "FOR1\x00\x00\x00\x30BEAM" + string(code) + "\x00\x00\x00\x00"
}

// program is the beginning of a program of a machine that asks for this loader.
func program(machine elf.Machine, loader string) string {
	const head, segment = 64, 56
	var b bytes.Buffer
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Phoff: head, Ehsize: head, Phentsize: segment, Phnum: 1, Shoff: 1 << 20, Shentsize: 64, Shnum: 9,
	}
	p := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: head + segment, Filesz: uint64(len(loader) + 1), Memsz: uint64(len(loader) + 1)}
	_ = binary.Write(&b, binary.LittleEndian, h) // to memory
	_ = binary.Write(&b, binary.LittleEndian, p)
	return b.String() + loader + "\x00"
}
