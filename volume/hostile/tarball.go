package hostile

import (
	"fmt"
	"io"
	"strings"
)

// Types of entries, as tar has them.
const (
	typeFile, typeHard, typeSymlink, typeChar, typeBlock, typeDir, typeFifo = '0', '1', '2', '3', '4', '5', '6'

	typeContiguous, typeGlobal, typePAX, typeGNULink, typeGNUName, typeGNUSparse, typeMulti = '7', 'g', 'x', 'K', 'L', 'S', 'M'
)

// header is a block of 512 bytes, field by field. What is nil has a value that fits; everything else is written as it
// stands, also what no tool would write.
type header struct {
	kind                  byte
	name, link, prefix    string
	mode                  string
	size, uid, mtime, sum string
	magic, owner          string
	devices               string
	rest                  string // from byte 345 on, in place of the prefix
}

// tarball writes an archive. Its first error sticks.
type tarball struct {
	w   io.Writer
	err error
}

func (t *tarball) write(p []byte) {
	if t.err == nil {
		_, t.err = t.w.Write(p)
	}
}

// zeros writes that many of them, without having them.
func (t *tarball) zeros(n int64) {
	for zeros := make([]byte, 64<<10); n > 0 && t.err == nil; n -= int64(len(zeros)) {
		t.write(zeros[:min(n, int64(len(zeros)))])
	}
}

func (t *tarball) header(h header) {
	block := make([]byte, 512)
	put := func(at, most int, text string) {
		if copy(block[at:at+most], text) < len(text) && t.err == nil {
			t.err = fmt.Errorf("%q has no room in a header", text)
		}
	}
	or := func(text, fallback string) string {
		if text == "" {
			return fallback
		}
		return text
	}
	put(0, 100, h.name)
	put(100, 8, or(h.mode, "0000644\x00"))
	put(108, 8, or(h.uid, "0001750\x00"))
	put(116, 8, "0001750\x00")
	put(124, 12, or(h.size, octal(0)))
	put(136, 12, or(h.mtime, "14000000000\x00"))
	put(148, 8, "        ")
	put(156, 1, string(h.kind))
	put(157, 100, h.link)
	put(257, 8, or(h.magic, "ustar\x0000"))
	put(265, 32, h.owner)
	put(329, 16, h.devices)
	put(345, 155, h.prefix)
	if h.rest != "" {
		put(345, 167, h.rest)
	}
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	put(148, 8, or(h.sum, fmt.Sprintf("%06o\x00 ", sum)))
	t.write(block)
}

func octal(n int64) string { return fmt.Sprintf("%011o\x00", n) }

// entry is a header with its content.
func (t *tarball) entry(h header, content string) {
	if h.size == "" {
		h.size = octal(int64(len(content)))
	}
	t.header(h)
	t.content(content)
}

// content fills its last block with zeros.
func (t *tarball) content(content string) {
	t.write([]byte(content))
	t.zeros(int64(-len(content) & 511))
}

func (t *tarball) file(name, content string) { t.entry(header{kind: typeFile, name: name}, content) }

func (t *tarball) dir(name string) { t.header(header{kind: typeDir, name: name, mode: "0000755\x00"}) }

func (t *tarball) symlink(name, target string) {
	t.header(header{kind: typeSymlink, name: name, link: target})
}

func (t *tarball) hard(name, target string) {
	t.header(header{kind: typeHard, name: name, link: target})
}

// pax says of the entry that follows what its own header does not: key, value, key, value.
func (t *tarball) pax(records ...string) { t.paxText(typePAX, paxRecords(records...)) }

func (t *tarball) paxText(kind byte, text string) {
	t.entry(header{kind: kind, name: "PaxHeaders/x"}, text)
}

func paxRecords(records ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(records); i += 2 {
		b.WriteString(paxRecord(records[i], records[i+1]))
	}
	return b.String()
}

// paxRecord begins with its own length in decimal digits.
func paxRecord(key, value string) string {
	rest := " " + key + "=" + value + "\n"
	size := len(rest) + 1
	for len(fmt.Sprint(size))+len(rest) != size {
		size = len(fmt.Sprint(size)) + len(rest)
	}
	return fmt.Sprint(size) + rest
}

// gnu is the long name or link target of the entry that follows.
func (t *tarball) gnu(kind byte, text string) {
	t.entry(header{kind: kind, name: "././@LongLink", magic: "ustar  \x00"}, text+"\x00")
}

// end is the two blocks that say so.
func (t *tarball) end() { t.zeros(1024) }
