package term

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode/utf8"
)

// What a text may ask of its reader. A node that consults a file has none of these limits: a million new
// atoms end the VM, and one integer of five million digits blocks it for minutes.
const (
	maxBytes     = 4 << 20 // of the whole text; its terms can take twenty times as much
	maxDepth     = 256     // of tuples, lists and maps in each other
	maxAtoms     = 50_000  // distinct ones, in one text
	maxAtomChars = 255     // the VM's own limit
	maxDigits    = 4096    // of one integer, in any base
)

// SyntaxError says where a text stops being a sequence of terms.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Parse reads what file:consult/1 reads: any number of terms, each ended by a full stop.
// A "coding:" comment in one of the first two lines chooses utf-8 (the default) or latin-1,
// as epp:read_encoding/1 does. Errors are of type *SyntaxError.
func Parse(text []byte) ([]Term, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	var terms []Term
	for p.advance(); p.err == nil && p.tok.kind != tokEOF; p.advance() {
		t := p.term()
		if p.err == nil && p.tok.kind != tokDot {
			p.unexpected("a full stop")
		}
		terms = append(terms, t)
	}
	if p.err != nil {
		return nil, p.err
	}
	return terms, nil
}

// ParseOne reads a text that holds exactly one term. Its full stop may be missing, so that a term can be
// given on a command line.
func ParseOne(text []byte) (Term, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	p.advance()
	t := p.term()
	if p.err == nil && p.tok.kind == tokDot {
		p.advance()
	}
	if p.err == nil && p.tok.kind != tokEOF {
		p.unexpected("nothing after the one term")
	}
	if p.err != nil {
		return nil, p.err
	}
	return t, nil
}

// A parser is a scanner with one token in hand. Its first error sticks: from then on the token is tokEOF,
// so that every loop ends, and only Parse and ParseOne look at it.
type parser struct {
	scanner
	tok   token
	depth int
}

func newParser(text []byte) (*parser, error) {
	if len(text) > maxBytes {
		return nil, &SyntaxError{1, fmt.Sprintf("the text is longer than %d bytes", maxBytes)}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if isLatin1(text) {
		text = latin1ToUTF8(text)
	}
	if i := invalidUTF8(text); i >= 0 {
		return nil, &SyntaxError{1 + bytes.Count(text[:i], []byte("\n")), "not valid UTF-8"}
	}
	return &parser{scanner: scanner{src: string(text), line: 1, atoms: map[string]Atom{}}}, nil
}

var codingLine = regexp.MustCompile(`(?i)^[^\n]*%[^\n]*coding\s*[:=]\s*latin-?1|^[^\n]*\n[^\n]*%[^\n]*coding\s*[:=]\s*latin-?1`)

func isLatin1(text []byte) bool { return codingLine.Match(text[:min(len(text), 1024)]) }

func latin1ToUTF8(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/8)
	for _, b := range text {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}

func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (p *parser) advance() {
	p.tok = p.scan()
	if p.err != nil {
		p.tok = token{kind: tokEOF, line: p.line}
	}
}

func (p *parser) unexpected(wanted string) {
	if p.err != nil {
		return
	}
	p.err = &SyntaxError{p.tok.line, fmt.Sprintf("expected %s, found %s", wanted, p.tok)}
	p.tok.kind = tokEOF
}

// accept skips the token when it is this punctuation.
func (p *parser) accept(punct string) bool {
	if p.tok.kind != tokPunct || p.tok.text != punct {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(punct string) {
	if !p.accept(punct) {
		p.unexpected(fmt.Sprintf("%q", punct))
	}
}

func (p *parser) term() Term {
	if p.depth++; p.depth > maxDepth {
		p.fail(fmt.Sprintf("more than %d levels of nesting", maxDepth))
		p.tok.kind = tokEOF
	}
	defer func() { p.depth-- }()
	switch p.tok.kind {
	case tokTerm:
		t := p.tok.term
		p.advance()
		return t
	case tokAtom:
		return p.atomOrFun()
	case tokString:
		return stringTerm(p.strings())
	case tokPunct:
		return p.compound()
	}
	p.unexpected("a term")
	return nil
}

func (p *parser) compound() Term {
	switch {
	case p.accept("{"):
		return Tuple(p.terms("}"))
	case p.accept("["):
		return p.list()
	case p.accept("<<"):
		return p.binary()
	case p.accept("#"):
		p.expect("{")
		return p.mapTerm()
	case p.accept("-"):
		return p.negated()
	case p.accept("+"):
		return p.number()
	}
	p.unexpected("a term")
	return nil
}

// terms reads up to the closing punctuation, and past it.
func (p *parser) terms(closing string) []Term {
	out := []Term{}
	if p.accept(closing) {
		return out
	}
	for p.err == nil {
		out = append(out, p.term())
		if !p.accept(",") {
			break
		}
	}
	p.expect(closing)
	return out
}

// list reads [a, b | Tail]. A tail in brackets goes on with the same elements: copying them once for each
// level of [a | [b | [c]]] would let a short text keep the parser busy for a minute.
func (p *parser) list() Term {
	elems, unclosed := List{}, 1
	if p.accept("]") {
		return elems
	}
	for p.err == nil {
		elems = append(elems, p.term())
		if p.accept(",") {
			continue
		}
		if !p.accept("|") {
			break
		}
		if !p.accept("[") {
			tail := p.term()
			p.closeBrackets(unclosed)
			return cons(elems, tail)
		}
		if p.accept("]") {
			break
		}
		unclosed++
	}
	p.closeBrackets(unclosed)
	return elems
}

func (p *parser) closeBrackets(n int) {
	for ; n > 0 && p.err == nil; n-- {
		p.expect("]")
	}
}

// cons puts elements before a tail: [a | [b]] is the proper list [a, b].
func cons(elems List, tail Term) Term {
	switch tail := tail.(type) {
	case List:
		return append(elems, tail...)
	case Improper:
		return Improper{append(elems, tail.Elems...), tail.Tail}
	case String:
		for _, r := range string(tail) {
			elems = append(elems, int64(r))
		}
		return elems
	}
	return Improper{elems, tail}
}

func (p *parser) mapTerm() Term {
	m := Map{}
	if p.accept("}") {
		return m
	}
	for p.err == nil {
		key := p.term()
		p.expect("=>")
		m = append(m, Pair{key, p.term()})
		if !p.accept(",") {
			break
		}
	}
	p.expect("}")
	return m
}

func (p *parser) number() Term {
	t := p.tok.term
	switch t.(type) {
	case int64, *big.Int, float64:
		p.advance()
		return t
	}
	p.unexpected("a number")
	return nil
}

func (p *parser) negated() Term {
	switch n := p.number().(type) {
	case int64:
		return -n // no literal is math.MinInt64: the scanner makes 2^63 a big.Int
	case *big.Int:
		return integer(new(big.Int).Neg(n))
	case float64:
		return -n
	}
	return nil
}

// integer is an int64 where the number fits.
func integer(n *big.Int) Term {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// strings joins adjacent literals: "a" "b" is "ab".
func (p *parser) strings() string {
	var s strings.Builder
	for ; p.tok.kind == tokString; p.advance() {
		s.WriteString(p.tok.text)
	}
	return s.String()
}

func stringTerm(s string) Term {
	if s == "" {
		return List{}
	}
	return String(s)
}

// atomOrFun reads an atom, or the one fun that has a text form: fun m:f/2. A logger filter in
// sys.config is written so.
func (p *parser) atomOrFun() Term {
	a := p.tok
	p.advance()
	switch {
	case a.quoted || !reserved[a.text]:
		return Atom(a.text)
	case a.text != "fun":
		p.tok = a
		p.unexpected("a term")
		return nil
	}
	module := p.atom()
	p.expect(":")
	function := p.atom()
	p.expect("/")
	arity, ok := p.tok.term.(int64)
	if !ok || arity > 255 {
		p.unexpected("an arity")
	}
	p.advance()
	return Opaque{Text: fmt.Sprintf("fun %s:%s/%d", Format(module), Format(function), arity)}
}

func (p *parser) atom() Atom {
	a := p.tok
	if a.kind != tokAtom || !a.quoted && reserved[a.text] {
		p.unexpected("an atom")
	}
	p.advance()
	return Atom(a.text)
}

func (p *parser) binary() Term {
	out := Binary{}
	if p.accept(">>") {
		return out
	}
	for p.err == nil {
		out = p.segment(out)
		if !p.accept(",") {
			break
		}
	}
	p.expect(">>")
	return out
}

// segment reads an integer of one byte or a string; sizes and other types are not constants that anybody
// writes in a configuration.
func (p *parser) segment(out Binary) Binary {
	if p.tok.kind != tokString {
		n, ok := p.tok.term.(int64)
		if !ok || n > 255 {
			p.unexpected("a byte or a string")
		}
		p.advance()
		return append(out, byte(n))
	}
	s := p.strings()
	if p.accept("/") {
		if p.tok.kind != tokAtom || p.tok.text != "utf8" {
			p.unexpected("utf8")
		}
		p.advance()
		return append(out, s...)
	}
	for _, r := range s {
		out = append(out, byte(r)) // a plain segment keeps the low eight bits of each character
	}
	return out
}
