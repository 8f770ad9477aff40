package hostile

// entries are of types that have no place in a release, or there twice.
func entries() []Case {
	special := func(about, words string, add func(p *pkg)) Case {
		return Case{Name: about, Code: unsafeEnt, Words: words, build: with(add)}
	}
	kind := func(about, words string, kind byte) Case {
		return special(about, words, func(p *pkg) {
			p.entry(header{kind: kind, name: p.lib("priv/x"), devices: "0000001\x000000003\x00"}, "")
		})
	}
	mode := func(about, mode string) Case {
		return special(about, "a setuid, setgid or sticky file", func(p *pkg) { p.entry(header{kind: typeFile, name: p.lib("priv/x"), mode: mode + "\x00"}, "x") })
	}
	first := func(about, words string, add func(p *pkg)) Case {
		return Case{Name: about, Code: unsafeEnt, Words: words, build: func(p *pkg) { add(p); good(p) }}
	}
	return []Case{
		kind("device-character", "a device", typeChar),
		kind("device-block", "a device", typeBlock),
		kind("fifo", "a fifo", typeFifo),
		kind("type-contiguous", "unknown type '7'", typeContiguous),
		kind("type-multi-volume", "unknown type 'M'", typeMulti),
		kind("type-label", "unknown type 'V'", 'V'),
		kind("type-dump-directory", "unknown type 'D'", 'D'),
		kind("type-nobody-knows", "unknown type 'Z'", 'Z'),
		special("device-in-bin", "a device", func(p *pkg) { p.entry(header{kind: typeChar, name: "bin/null"}, "") }),
		special("fifo-at-the-top", "a fifo", func(p *pkg) { p.entry(header{kind: typeFifo, name: "fifo"}, "") }),
		mode("mode-setuid", "0004755"),
		mode("mode-setgid", "0002755"),
		mode("mode-sticky", "0001755"),
		mode("mode-all", "0007777"),
		special("mode-setuid-in-bin", "a setuid, setgid or sticky file", func(p *pkg) { p.entry(header{kind: typeFile, name: "bin/su", mode: "0004755\x00"}, "x") }),

		special("twice", twice, func(p *pkg) { p.file(p.lib("priv/data"), "other") }),
		special("twice-the-same", twice, func(p *pkg) { p.file(p.in("vm.args"), "-name n@127.0.0.1\n") }),
		special("twice-with-a-dot", twice, func(p *pkg) { p.file("./"+p.lib("priv/data"), "other") }),
		special("twice-by-pax", twice, func(p *pkg) { p.pax("path", p.lib("priv/data")); p.file("other", "other") }),
		special("twice-by-gnu", twice, func(p *pkg) { p.gnu(typeGNUName, p.lib("priv/data")); p.file("other", "other") }),
		special("twice-the-rel", twice, func(p *pkg) { p.file(p.in(p.Name+".rel"), p.rel("")) }),
		special("twice-the-records", twice, func(p *pkg) { p.file("releases/RELEASES", "[]."); p.file("releases/RELEASES", "[].") }),
		special("file-and-directory", twice, func(p *pkg) { p.file(p.lib("priv/data/x"), "x") }),
		special("file-and-directory-entry", twice, func(p *pkg) { p.dir(p.lib("priv/data/")) }),
		special("directory-and-file", twice, func(p *pkg) { p.file(p.lib("priv"), "x") }),
		first("file-in-the-place-of-the-application", twice, func(p *pkg) { p.file("lib/"+p.Name+"-"+p.Version, "x") }),
		first("file-in-the-place-of-the-version", twice, func(p *pkg) { p.file("releases/"+p.Version, "x") }),
		first("file-in-the-place-of-lib", noDir, func(p *pkg) { p.file("lib", "x") }),
		first("file-in-the-place-of-releases", noDir, func(p *pkg) { p.file("releases", "x") }),
		first("file-in-the-place-of-the-erts", noDir, func(p *pkg) { p.file("erts-"+p.ERTS, "x") }),

		special("sparse-gnu", "a sparse file", func(p *pkg) {
			sparse := octal(0) + octal(512) + octal(1<<30) + octal(0)
			p.entry(header{kind: typeGNUSparse, name: p.lib("priv/x"), magic: "ustar  \x00", rest: pad("", 41) + pad(sparse, 96) + "\x00" + octal(1<<30)}, pad("x", 512))
		}),
		special("sparse-pax-0.0", "a sparse file", func(p *pkg) {
			p.pax("GNU.sparse.size", "1073741824", "GNU.sparse.numblocks", "1", "GNU.sparse.offset", "0", "GNU.sparse.numbytes", "512")
			p.file(p.lib("priv/x"), pad("x", 512))
		}),
		special("sparse-pax-0.1", "a sparse file", func(p *pkg) {
			p.pax("GNU.sparse.size", "1073741824", "GNU.sparse.numblocks", "1", "GNU.sparse.map", "0,512", "GNU.sparse.name", p.lib("priv/x"))
			p.file("GNUSparseFile/x", pad("x", 512))
		}),
		special("sparse-pax-1.0", "a sparse file", func(p *pkg) {
			p.pax("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", p.lib("priv/x"), "GNU.sparse.realsize", "1073741824")
			p.file("GNUSparseFile/x", pad("1\n0\n512\n", 512)+pad("x", 512))
		}),
		{Name: "sparse-pax-that-leads-out", Code: unsafeEnt, Words: "a sparse file", build: with(func(p *pkg) {
			p.pax("GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", "../../../"+sentinel, "GNU.sparse.realsize", "512")
			p.file("GNUSparseFile/x", pad("1\n0\n512\n", 512)+pad("x", 512))
		})},
	}
}

// pad fills up with NUL.
func pad(text string, size int) string { return text + string(make([]byte, size-len(text))) }
