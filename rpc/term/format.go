package term

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format writes a term on one line, as io:format("~tp") does in a node started with +pc unicode: a list of
// printable characters is a string, and atoms have quotes only where they need them. Parse reads it back to
// an equal term, Opaque excepted.
func Format(t Term) string {
	text, _ := FormatMax(t, math.MaxInt)
	return text
}

// FormatMax is Format for a term whose text may be too long: then it is cut, and whole is false.
func FormatMax(t Term, bytes int) (text string, whole bool) {
	b := builder{most: bytes}
	write(&b, t)
	if !b.full() {
		return b.String(), true
	}
	return strings.ToValidUTF8(b.String()[:bytes], ""), false
}

// builder takes text until it is full. It may hold a little more then.
type builder struct {
	strings.Builder
	most int
}

func (b *builder) full() bool { return b.Len() > b.most }

func write(b *builder, t Term) {
	switch t := t.(type) {
	case Atom:
		writeAtom(b, string(t))
	case int64:
		b.WriteString(strconv.FormatInt(t, 10))
	case *big.Int:
		b.WriteString(t.String())
	case float64:
		b.WriteString(formatFloat(t))
	case String:
		writeString(b, string(t))
	case Binary:
		writeBinary(b, t)
	case Opaque:
		b.WriteString(t.Text)
	default:
		writeCompound(b, t)
	}
}

func writeCompound(b *builder, t Term) {
	switch t := t.(type) {
	case Tuple:
		writeTerms(b, "{", t, "}")
	case List:
		if s, ok := AsString(t); ok && s != "" && printable(s) {
			writeQuoted(b, s, '"')
			return
		}
		writeTerms(b, "[", t, "]")
	case Improper:
		writeTerms(b, "[", t.Elems, "|")
		write(b, t.Tail)
		b.WriteByte(']')
	case Map:
		writeMap(b, t)
	default:
		fmt.Fprintf(b, "'%T is not a term'", t)
	}
}

func writeTerms(b *builder, opening string, terms []Term, closing string) {
	b.WriteString(opening)
	for i, t := range terms {
		if b.full() {
			return
		}
		if i > 0 {
			b.WriteByte(',')
		}
		write(b, t)
	}
	b.WriteString(closing)
}

func writeMap(b *builder, m Map) {
	b.WriteString("#{")
	for i, pair := range m {
		if b.full() {
			return
		}
		if i > 0 {
			b.WriteByte(',')
		}
		write(b, pair.Key)
		b.WriteString(" => ")
		write(b, pair.Value)
	}
	b.WriteByte('}')
}

// reserved words are no atoms. The last two became so in OTP 27, and not in every module:
// they are quoted when written, and accepted when read.
var reserved = words("after and andalso band begin bnot bor bsl bsr bxor case catch cond div end fun if let not of or orelse receive rem try when xor")

var reservedSince27 = words("maybe else")

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

func writeAtom(b *builder, name string) {
	plain := scanner{src: name}
	if name != "" && plain.nameLen() == len(name) && !reserved[name] && !reservedSince27[name] {
		b.WriteString(name)
		return
	}
	writeQuoted(b, name, '\'')
}

func writeString(b *builder, s string) {
	if s != "" && printable(s) {
		writeQuoted(b, s, '"')
		return
	}
	chars := List{}
	for _, r := range s {
		chars = append(chars, int64(r))
	}
	writeTerms(b, "[", chars, "]")
}

func writeBinary(b *builder, bin Binary) {
	s := string(bin)
	b.WriteString("<<")
	if s != "" && utf8.ValidString(s) && printable(s) {
		writeQuoted(b, s, '"')
		if len(s) != utf8.RuneCountInString(s) {
			b.WriteString("/utf8")
		}
	} else {
		for i, c := range bin {
			if b.full() {
				return
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(int(c)))
		}
	}
	b.WriteString(">>")
}

var escapeNames = map[rune]byte{
	'\b': 'b', 0x7f: 'd', 0x1b: 'e', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v', '\\': '\\',
}

func writeQuoted(b *builder, s string, quote byte) {
	b.WriteByte(quote)
	for _, r := range s {
		if b.full() {
			return
		}
		switch name, named := escapeNames[r]; {
		case named:
			b.WriteByte('\\')
			b.WriteByte(name)
		case r == rune(quote):
			b.WriteByte('\\')
			b.WriteByte(quote)
		case r < ' ' || r > 0x7f && r < 0xa0:
			fmt.Fprintf(b, `\x{%X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
}

// printable is io_lib:printable_unicode_list/1.
func printable(s string) bool {
	for _, r := range s {
		switch {
		case r >= '\b' && r <= '\r', r == 0x1b, r >= ' ' && r <= '~':
		case r >= 0xa0 && r != utf8.RuneError && r <= 0xfffd, r >= 0x10000:
		default:
			return false
		}
	}
	return true
}

// formatFloat writes the fewest digits that read back as f, and an exponent only where that is shorter or
// the number has no exact neighbour, as float_to_list(F, [short]) does.
func formatFloat(f float64) string {
	sci := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(sci, "e")
	n, _ := strconv.Atoi(exponent)
	sci = withPoint(mantissa) + "e" + strconv.Itoa(n)
	fixed := withPoint(strconv.FormatFloat(f, 'f', -1, 64))
	if len(sci) < len(fixed) || math.Abs(f) >= 1<<53 {
		return sci
	}
	return fixed
}

func withPoint(digits string) string {
	if strings.Contains(digits, ".") {
		return digits
	}
	return digits + ".0"
}
