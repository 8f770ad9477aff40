package term

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind int

const (
	tokEOF kind = iota
	tokDot
	tokAtom
	tokString
	tokTerm // a number or a character
	tokPunct
)

type token struct {
	kind   kind
	text   string // of an atom or a string, without quotes; the punctuation itself
	quoted bool   // an atom in quotes is never a keyword
	term   Term   // the value of a tokTerm
	line   int
}

func (t token) String() string {
	switch t.kind {
	case tokEOF:
		return "the end of the text"
	case tokDot:
		return "a full stop"
	case tokTerm:
		return Format(t.term)
	}
	return strconv.Quote(t.text)
}

// scanner cuts valid UTF-8 into tokens, as erl_scan does.
type scanner struct {
	src   string
	pos   int
	line  int
	atoms map[string]Atom
	err   error
}

func (s *scanner) fail(msg string) token {
	if s.err == nil {
		s.err = &SyntaxError{s.line, msg}
	}
	return token{kind: tokEOF, line: s.line}
}

// peek is the character n bytes ahead, or 0 at the end; NUL itself is no token either.
func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

func (s *scanner) scan() token {
	s.skipSpace()
	line := s.line
	t := s.scanToken()
	t.line = line
	return t
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '\n':
			s.line++
			s.pos++
		case c <= ' ':
			s.pos++
		case c == '%':
			end := strings.IndexByte(s.src[s.pos:], '\n')
			if end < 0 {
				end = len(s.src) - s.pos
			}
			s.pos += end
		default:
			return
		}
	}
}

func (s *scanner) scanToken() token {
	c := s.peek(0)
	switch {
	case s.pos >= len(s.src):
		return token{kind: tokEOF}
	case c == '"':
		s.pos++
		return token{kind: tokString, text: s.quotedText('"')}
	case c == '\'':
		s.pos++
		return s.atomToken(s.quotedText('\''), true)
	case c == '$':
		s.pos++
		return token{kind: tokTerm, term: s.charLiteral()}
	case isDigit(c):
		return s.numberToken()
	case c == '.':
		return s.dot()
	}
	if n := s.nameLen(); n > 0 {
		name := s.src[s.pos : s.pos+n]
		s.pos += n
		return s.atomToken(name, false)
	}
	return s.punct()
}

// punctuation, the longer before its own prefix.
var punctuation = []string{"<<", ">>", "=>", "{", "}", "[", "]", "|", ",", "#", "/", ":", "-", "+"}

// shown matches what the shell and ~p show of a term that has no text: no reader takes it, and yet it is found in files that
// a program has printed.
var shown = regexp.MustCompile(`^(#(Fun|Ref|Port)<[^<>]{0,80}>|<\d+\.\d+\.\d+>)`)

func (s *scanner) punct() token {
	if c := s.peek(0); c == '#' || c == '<' {
		if picture := shown.FindString(s.src[s.pos:min(len(s.src), s.pos+100)]); picture != "" {
			return s.fail(picture + " has no text form: a fun, a process, a port or a reference cannot be read from a file")
		}
	}
	for _, p := range punctuation {
		if strings.HasPrefix(s.src[s.pos:], p) {
			s.pos += len(p)
			return token{kind: tokPunct, text: p}
		}
	}
	r, _ := utf8.DecodeRuneInString(s.src[s.pos:])
	return s.fail(fmt.Sprintf("unexpected character %q", r))
}

func (s *scanner) dot() token {
	s.pos++
	if c := s.peek(0); s.pos < len(s.src) && c > ' ' && c != '%' {
		return s.fail("a full stop must be followed by white space")
	}
	return token{kind: tokDot}
}

func (s *scanner) atomToken(name string, quoted bool) token {
	if _, known := s.atoms[name]; !known {
		if utf8.RuneCountInString(name) > maxAtomChars {
			return s.fail(fmt.Sprintf("an atom of more than %d characters", maxAtomChars))
		}
		if len(s.atoms) >= maxAtoms {
			return s.fail(fmt.Sprintf("more than %d different atoms", maxAtoms))
		}
		s.atoms[name] = Atom(name)
	}
	return token{kind: tokAtom, text: string(s.atoms[name]), quoted: quoted}
}

// nameLen is the length in bytes of the unquoted atom that starts here, or 0.
func (s *scanner) nameLen() int {
	rest := s.src[s.pos:]
	for i, r := range rest {
		if i == 0 && !isLower(r) || i > 0 && !isNameChar(r) {
			return i
		}
	}
	return len(rest)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLower(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'ß' && r <= 'ÿ' && r != '÷'
}

func isNameChar(r rune) bool {
	return isLower(r) || r >= 'A' && r <= 'Z' || r >= 'À' && r <= 'Þ' && r != '×' ||
		r >= '0' && r <= '9' || r == '_' || r == '@'
}

// quotedText reads up to the closing quote, and past it.
func (s *scanner) quotedText(quote byte) string {
	start := s.line
	var out strings.Builder
	for s.pos < len(s.src) && s.err == nil {
		c := s.src[s.pos]
		switch c {
		case quote:
			s.pos++
			return out.String()
		case '\\':
			s.pos++
			out.WriteRune(s.escape())
		default:
			if c == '\n' {
				s.line++
			}
			out.WriteByte(c)
			s.pos++
		}
	}
	if s.err == nil {
		s.line = start
		s.fail(fmt.Sprintf("the quote %c is not closed", quote))
	}
	return ""
}

func (s *scanner) charLiteral() Term {
	if s.peek(0) == '\\' {
		s.pos++
		return int64(s.escape())
	}
	return int64(s.rune())
}

func (s *scanner) rune() rune {
	r, n := utf8.DecodeRuneInString(s.src[s.pos:])
	if n == 0 {
		s.fail("the text ends inside a character")
	}
	if r == '\n' {
		s.line++
	}
	s.pos += n
	return r
}

var escapes = map[rune]rune{
	'b': '\b', 'd': 0x7f, 'e': 0x1b, 'f': '\f', 'n': '\n', 'r': '\r', 's': ' ', 't': '\t', 'v': '\v',
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	c := s.peek(0)
	switch {
	case c >= '0' && c <= '7':
		return s.codePoint(s.take(3, func(c byte) bool { return c >= '0' && c <= '7' }), 8)
	case c == 'x' && s.peek(1) == '{':
		s.pos += 2
		r := s.codePoint(s.take(8, isHex), 16)
		if s.rune() != '}' {
			s.fail(`\x{ is not closed`)
		}
		return r
	case c == 'x':
		s.pos++
		return s.codePoint(s.take(2, isHex), 16)
	case c == '^':
		s.pos++
		return s.rune() & 31
	}
	r := s.rune()
	if e, ok := escapes[r]; ok {
		return e
	}
	return r
}

func (s *scanner) take(most int, ok func(byte) bool) string {
	start := s.pos
	for s.pos < len(s.src) && s.pos-start < most && ok(s.src[s.pos]) {
		s.pos++
	}
	return s.src[start:s.pos]
}

func isHex(c byte) bool { return digitValue(c) < 16 }

func (s *scanner) codePoint(digits string, base int) rune {
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		s.fail("not a character")
		return 0
	}
	return rune(n)
}

// digitValue is the digit's value in the largest base, or 99.
func digitValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 10
	}
	return 99
}

// numberToken reads 12, 1_000, 16#ff, 1.5 and 1.5e-3.
func (s *scanner) numberToken() token {
	whole := s.digits(10)
	switch {
	case s.peek(0) == '#' && isHex36(s.peek(1)):
		base, err := strconv.Atoi(whole)
		if err != nil || base < 2 || base > 36 {
			return s.fail(fmt.Sprintf("%s is not a base from 2 to 36", whole))
		}
		s.pos++
		return s.integerToken(s.digits(base), base)
	case s.peek(0) == '.' && isDigit(s.peek(1)):
		return s.floatToken(whole)
	}
	return s.integerToken(whole, 10)
}

func isHex36(c byte) bool { return digitValue(c) < 36 }

// digits reads digits of the base, with single underscores between them.
func (s *scanner) digits(base int) string {
	isDigit := func(c byte) bool { return digitValue(c) < base }
	start := s.pos
	for isDigit(s.peek(0)) || s.peek(0) == '_' && s.pos > start && isDigit(s.peek(1)) {
		s.pos++
	}
	return strings.ReplaceAll(s.src[start:s.pos], "_", "")
}

func (s *scanner) integerToken(digits string, base int) token {
	if len(digits) > maxDigits {
		return s.fail(fmt.Sprintf("an integer of more than %d digits", maxDigits))
	}
	if n, err := strconv.ParseInt(digits, base, 64); err == nil {
		return token{kind: tokTerm, term: n}
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return s.fail("not an integer")
	}
	return token{kind: tokTerm, term: integer(n)}
}

func (s *scanner) floatToken(whole string) token {
	s.pos++
	text := whole + "." + s.digits(10)
	if c := s.peek(0); c == 'e' || c == 'E' {
		s.pos++
		sign := s.take(1, func(c byte) bool { return c == '-' || c == '+' })
		text += "e" + sign + s.digits(10)
	}
	if len(text) > maxDigits {
		return s.fail(fmt.Sprintf("a float of more than %d digits", maxDigits))
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return s.fail(fmt.Sprintf("%s is not a float", text))
	}
	return token{kind: tokTerm, term: f}
}
