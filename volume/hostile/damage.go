package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

const (
	behindGzip = "something follows the end of its gzip stream"
	behindTar  = "something follows the end of its tar archive"
	endsEarly  = "ends too early: it was not copied completely"
	noEnd      = "its tar archive has no end, behind"
)

// damage is done to a good package on its way, or instead of one.
func damage() []Case {
	var cases []Case
	spoilt := func(about, code, words string, spoil func([]byte) []byte) {
		cases = append(cases, Case{Name: about, Code: code, Words: words, build: good, spoil: spoil})
	}
	for n := 1; n < 20; n++ {
		spoilt(fmt.Sprintf("gzip-cut-at-%d-of-20", n), "truncated", endsEarly, func(b []byte) []byte { return b[:len(b)*n/20] })
	}
	for _, n := range []int{1, 4, 5, 8} {
		spoilt(fmt.Sprintf("gzip-without-the-last-%d", n), "truncated", endsEarly, func(b []byte) []byte { return b[:len(b)-n] })
	}
	for _, n := range []int{4, 9, 10} {
		spoilt(fmt.Sprintf("gzip-of-%d-bytes", n), "truncated", endsEarly, func(b []byte) []byte { return b[:n] })
	}
	spoilt("gzip-of-3-bytes", "not-a-package", "it has 3 bytes", func(b []byte) []byte { return b[:3] })
	set := func(at int, value byte) func([]byte) []byte {
		return func(b []byte) []byte { b[(len(b)+at)%len(b)] ^= value; return b }
	}
	spoilt("gzip-sum-wrong", "damaged", "gzip: invalid checksum", set(-8, 1))
	spoilt("gzip-size-wrong", "damaged", "gzip: invalid checksum", set(-4, 1))
	spoilt("gzip-method-unknown", "not-a-package", "whose header cannot be read", set(2, 0xf))
	spoilt("gzip-flags-with-a-wrong-sum", "not-a-package", "whose header cannot be read", set(3, 2))
	spoilt("gzip-block-of-no-type", "damaged", "flate: corrupt input", set(10, 7))
	spoilt("gzip-twice", "damaged", behindGzip, func(b []byte) []byte { return append(b, b...) })
	spoilt("gzip-and-an-empty-one", "damaged", behindGzip, func(b []byte) []byte { return append(b, zip("")...) })
	spoilt("gzip-and-garbage", "damaged", behindGzip, func(b []byte) []byte { return append(b, "garbage"...) })
	spoilt("gzip-and-zeros", "damaged", behindGzip, func(b []byte) []byte { return append(b, make([]byte, 4096)...) })
	spoilt("gzip-in-gzip", "not-a-package", "does not begin with a header of a tar archive", func(b []byte) []byte { return zip(string(b)) })
	spoilt("gzip-in-two-members", "truncated", noEnd, func(b []byte) []byte {
		tar := unzip(b)
		return append(zip(tar[:len(tar)/2]), zip(tar[len(tar)/2:])...)
	})
	for _, other := range [][3]string{
		{"zstd", "compressed with zstd, not gzip", "\x28\xb5\x2f\xfd\x04\x00"},
		{"xz", "compressed with xz, not gzip", "\xfd7zXZ\x00\x00\x04"},
		{"bzip2", "compressed with bzip2, not gzip", "BZh91AY&SY"},
		{"zip", "it is a zip archive", "PK\x03\x04\x14\x00"},
		{"text", "not compressed with gzip", "it was a dark and stormy night"},
		{"program", "not compressed with gzip", "\x7fELF\x02\x01\x01"},
		{"zeros", "not compressed with gzip", strings.Repeat("\x00", 2048)},
	} {
		spoilt("no-gzip-but-"+other[0], "not-a-package", other[1], func([]byte) []byte { return []byte(other[2]) })
	}
	spoilt("no-gzip-but-tar", "not-a-package", "a tar archive, but not compressed with gzip", func(b []byte) []byte { return []byte(unzip(b)) })
	spoilt("empty", "not-a-package", "the package is empty", func([]byte) []byte { return nil })
	spoilt("one-byte", "not-a-package", "it has 1 bytes", func(b []byte) []byte { return b[:1] })
	spoilt("gzip-of-nothing", "not-a-package", "the package holds no files", func([]byte) []byte { return zip("") })
	spoilt("gzip-of-text", "not-a-package", "does not begin with a header of a tar archive", func([]byte) []byte { return zip(strings.Repeat("text ", 1000)) })
	spoilt("gzip-of-zip", "not-a-package", "does not begin with a header of a tar archive", func([]byte) []byte { return zip("PK\x03\x04" + strings.Repeat("x", 1000)) })
	spoilt("gzip-says-gigabytes", "damaged", "gzip: invalid checksum", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[len(b)-4:], 1<<32-1); return b })
	return append(cases, tarDamage()...)
}

func tarDamage() []Case {
	inner := func(about, code, words string, spoil func(tar string) string) Case {
		return Case{Name: "tar-" + about, Code: code, Words: words, build: good, spoil: func(b []byte) []byte { return zip(spoil(unzip(b))) }}
	}
	const blocks = 1024 // that end an archive
	return []Case{
		inner("of-end-alone", "not-a-package", "the package holds no files", func(string) string { return pad("", blocks) }),
		inner("cut-in-a-header", "truncated", noEnd, func(tar string) string { return tar[:700] }),
		inner("cut-in-the-middle", "truncated", noEnd, func(tar string) string { return tar[:len(tar)/2+100] }),
		inner("cut-in-a-file", "truncated", noEnd, func(tar string) string { return tar[:strings.Index(tar, "data data")+100] }),
		inner("cut-in-the-padding", "truncated", noEnd, func(tar string) string { return tar[:strings.Index(tar, "-name n@")+20] }),
		inner("without-end", "truncated", noEnd, func(tar string) string { return tar[:len(tar)-blocks] }),
		inner("with-half-an-end", "truncated", noEnd, func(tar string) string { return tar[:len(tar)-blocks/2] }),
		inner("with-a-cut-end", "truncated", noEnd, func(tar string) string { return tar[:len(tar)-100] }),
		inner("end-in-the-middle", "damaged", damagedHeader, func(tar string) string { return tar[:1024] + pad("", 512) + tar[1024:] }),
		inner("and-garbage", "damaged", behindTar, func(tar string) string { return tar + "garbage" }),
		inner("and-another", "damaged", behindTar, func(tar string) string { return tar + tar }),
		inner("and-garbage-far-behind", "damaged", behindTar, func(tar string) string { return tar + pad("", 1<<20) + "x" }),
		inner("first-sum-wrong", "not-a-package", "does not begin with a header of a tar archive", func(tar string) string { return "X" + tar[1:] }),
		inner("with-a-byte-before", "not-a-package", "does not begin with a header of a tar archive", func(tar string) string { return "x" + tar }),
		inner("without-its-first-byte", "not-a-package", "does not begin with a header of a tar archive", func(tar string) string { return tar[1:] }),
	}
}

func zip(content string) []byte {
	var b bytes.Buffer
	w := newZip(&b)
	_, _ = w.Write([]byte(content)) // to memory
	_ = w.Close()
	return b.Bytes()
}
