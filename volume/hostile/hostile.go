// Package hostile makes packages that an agent must refuse, each with its own words, and odd ones that it must take. They
// are for tests, and the same bytes each time.
package hostile

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// Case is one package.
type Case struct {
	Name   string // as a file could be named
	Code   string // of the refusal; empty: it is accepted
	Words  string // in the refusal
	Limits string // AGENT_PACKAGE_LIMITS
	Many   bool   // so many files that writing them takes a minute, which agent verify does not

	build func(p *pkg)
	spoil func(whole []byte) []byte // done to the compressed bytes
}

// Cases are packages that must be refused.
func Cases() []Case {
	return slices.Concat(names(), links(), entries(), headers(), damage(), releases(), sizes())
}

// Base is the good release that every case begins with, or a part of it.
type Base struct {
	Name, Version        string
	ERTS, Kernel, Stdlib string // of the image that has the OTP
	Outside              string // an absolute directory that holds a file "sentinel", which nothing may touch
}

// Write makes the package. It needs no memory to speak of, whatever its size.
func (c Case) Write(w io.Writer, base Base) error {
	if c.spoil == nil {
		return c.zip(w, base)
	}
	var whole bytes.Buffer
	if err := c.zip(&whole, base); err != nil {
		return err
	}
	_, err := w.Write(c.spoil(whole.Bytes()))
	return err
}

func (c Case) zip(w io.Writer, base Base) error {
	zipped := newZip(w)
	p := &pkg{tarball: tarball{w: zipped}, Base: base, zipped: zipped}
	c.build(p)
	if p.err != nil {
		return fmt.Errorf("cannot make %s: %w", c.Name, p.err)
	}
	return zipped.Close()
}

// pkg is a package in the making.
type pkg struct {
	tarball
	Base
	zipped *gzip.Writer
}

// release writes the files of the release, but for those whose names contain one of the parts.
func (p *pkg) release(without ...string) {
	for _, f := range p.files() {
		if !contains(f[0], without) {
			p.file(f[0], f[1])
		}
	}
}

func contains(name string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// in is a name in the release's own directory, lib one in its application's.
func (p *pkg) in(name string) string  { return "releases/" + p.Version + "/" + name }
func (p *pkg) lib(name string) string { return "lib/" + p.Name + "-" + p.Version + "/" + name }

const before = "1.0.0" // the version that runs where there is one

func (p *pkg) files() [][2]string {
	return [][2]string{
		{p.lib("ebin/" + p.Name + ".app"), fmt.Sprintf("{application,%s,[{vsn,%q}]}.\n", p.Name, p.Version)},
		{p.lib("ebin/" + p.Name + ".beam"), "code"},
		{p.lib("priv/data"), strings.Repeat("data ", 100)},
		{p.in(p.Name + ".rel"), p.rel("")},
		{p.in("start.boot"), "boot"},
		{p.in("sys.config"), fmt.Sprintf("[{%s,[{colour,blue}]}].\n", p.Name)},
		{p.in("vm.args"), "-name n@127.0.0.1\n"},
		{p.in("relup"), fmt.Sprintf("{%q,[{%[2]q,[],[point_of_no_return]}],[{%[2]q,[],[point_of_no_return]}]}.\n", p.Version, before)},
	}
}

// rel is the resource file, with more applications.
func (p *pkg) rel(more string) string {
	return fmt.Sprintf("{release,{%q,%q},{erts,%q},[{kernel,%q},{stdlib,%q},{%s,%q}%s]}.\n",
		p.Name, p.Version, p.ERTS, p.Kernel, p.Stdlib, p.Name, p.Version, more)
}

// with is the whole release and what add puts behind it.
func with(add func(p *pkg)) func(*pkg) {
	return func(p *pkg) {
		p.release()
		add(p)
		p.end()
	}
}

// instead is the release with another text in the place of one of its own.
func instead(name string, text func(p *pkg) string) func(*pkg) {
	return func(p *pkg) {
		p.release("/" + name)
		p.file(p.in(name), text(p))
		p.end()
	}
}

func good(p *pkg) { with(func(*pkg) {})(p) }

// newZip is quick: some packages have a gigabyte.
func newZip(w io.Writer) *gzip.Writer {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return gzip.NewWriter(w)
	}
	return zipped
}

func unzip(whole []byte) string {
	zipped, err := gzip.NewReader(bytes.NewReader(whole))
	if err != nil {
		return ""
	}
	content, _ := io.ReadAll(zipped) // of our own making
	return string(content)
}

// ourMachine runs these tests.
var ourMachine = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
