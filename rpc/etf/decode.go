package etf

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"theseus/rpc/term"
)

// Decode reads one term that starts with the version byte and returns it with what follows it.
// Pids, ports, references, funs and bit strings become term.Opaque, their Wire a Raw. A list of
// printable characters becomes a term.String, whichever of the two list tags it came with.
func Decode(b []byte) (t term.Term, rest []byte, err error) {
	if len(b) == 0 || b[0] != version {
		return nil, b, ErrMalformed
	}
	d := decoder{b: b[1:], left: maxTerms}
	t, err = d.term()
	return t, d.b, err
}

// DecodeReply reads the beginning of {Ref, Term}, the form in which gen_server:reply/2 answers, and leaves Term
// as it came: one that cannot be read is an error of that reply alone.
func DecodeReply(b []byte) (ref Ref, answer Raw, err error) {
	if len(b) < 4 || b[0] != version || b[1] != tagSmallTuple || b[2] != 2 || b[3] != tagNewerRef {
		return ref, nil, ErrMalformed
	}
	d := decoder{b: b[4:]}
	words, node, creation, err := d.ref()
	if err != nil || len(words) != len(ref.Words) {
		return ref, nil, ErrMalformed
	}
	return Ref{Node: node, Creation: creation, Words: [3]uint32(words)}, Raw(d.b), nil
}

// Decode reads one term and nothing after it.
func (r Raw) Decode() (term.Term, error) {
	d := decoder{b: r, left: maxTerms}
	t, err := d.term()
	if err == nil && len(d.b) > 0 {
		err = ErrMalformed
	}
	return t, err
}

type decoder struct {
	b     []byte
	depth int
	left  int // of maxTerms
}

// spend counts terms before they are made.
func (d *decoder) spend(n int) error {
	if d.left -= n; d.left < 0 {
		return fmt.Errorf("%w: it has more than %d terms", ErrTooLarge, maxTerms)
	}
	return nil
}

// term reads one term. Whatever was read when an error comes back is worth nothing.
func (d *decoder) term() (term.Term, error) {
	if d.depth++; d.depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d levels", ErrMalformed, maxDepth)
	}
	defer func() { d.depth-- }()
	start := d.b
	tag, err := d.uint(1)
	if err != nil {
		return nil, err
	}
	switch tag {
	case tagSmallInt, tagInt, tagSmallBig, tagLargeBig, tagNewFloat:
		return d.number(tag)
	case tagAtom, tagSmallAtom, tagAtomLatin1, tagSmallLatin1:
		a, err := d.atomOf(tag)
		return term.Atom(a), err
	case tagNil:
		return term.List{}, nil
	case tagString:
		return d.str()
	case tagList:
		return d.list()
	case tagSmallTuple, tagLargeTuple:
		return d.tuple(tag)
	case tagMap:
		return d.mapping()
	case tagBinary:
		n, err := d.uint(4)
		if err != nil {
			return nil, err
		}
		bin, err := d.take(n)
		return term.Binary(slices.Clone(bin)), err
	}
	if err := d.spend(1); err != nil { // its text and its bytes
		return nil, err
	}
	text, err := d.opaque(tag)
	if err != nil {
		return nil, err
	}
	return term.Opaque{Text: text, Wire: Raw(slices.Clone(start[:len(start)-len(d.b)]))}, nil
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, ErrMalformed
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b, nil
}

// uint reads a big-endian number of size bytes: 1, 2 or 4.
func (d *decoder) uint(size int) (int, error) {
	b, err := d.take(size)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n, nil
}

// count reads the number of elements of a container, before room is made for them. Each takes a byte at least, so a
// header that lies is known at once.
func (d *decoder) count(size int) (int, error) {
	n, err := d.uint(size)
	switch {
	case err != nil:
		return 0, err
	case n > len(d.b):
		return 0, ErrMalformed
	}
	return n, d.spend(n)
}

func (d *decoder) number(tag int) (term.Term, error) {
	switch tag {
	case tagSmallInt:
		n, err := d.uint(1)
		return int64(n), err
	case tagInt:
		n, err := d.uint(4)
		return int64(int32(n)), err
	case tagNewFloat:
		b, err := d.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case tagSmallBig:
		return d.big(1)
	}
	return d.big(4)
}

func (d *decoder) big(size int) (term.Term, error) {
	n, err := d.uint(size)
	if err != nil {
		return nil, err
	}
	sign, err := d.uint(1)
	if err != nil {
		return nil, err
	}
	if err := d.spend(n * n >> 16); err != nil { // the time that its decimal digits take, a second at most
		return nil, err
	}
	digits, err := d.take(n)
	if err != nil {
		return nil, err
	}
	digits = slices.Clone(digits)
	slices.Reverse(digits)
	i := new(big.Int).SetBytes(digits)
	if sign != 0 {
		i.Neg(i)
	}
	if i.IsInt64() {
		return i.Int64(), nil
	}
	return i, nil
}

// atom reads an atom with its tag.
func (d *decoder) atom() (string, error) {
	tag, err := d.uint(1)
	if err != nil {
		return "", err
	}
	return d.atomOf(tag)
}

func (d *decoder) atomOf(tag int) (string, error) {
	size := 1
	if tag == tagAtom || tag == tagAtomLatin1 {
		size = 2
	}
	n, err := d.uint(size)
	if err != nil {
		return "", err
	}
	b, err := d.take(n)
	if err != nil {
		return "", err
	}
	switch tag {
	case tagAtomLatin1, tagSmallLatin1:
		return latin1(b), nil
	case tagAtom, tagSmallAtom:
		if utf8.Valid(b) {
			return string(b), nil
		}
	}
	return "", ErrMalformed
}

func latin1(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

func (d *decoder) str() (term.Term, error) {
	n, err := d.uint(2)
	if err != nil {
		return nil, err
	}
	b, err := d.take(n)
	if err != nil {
		return nil, err
	}
	list := make(term.List, len(b))
	for i, c := range b {
		list[i] = int64(c)
	}
	t := asString(list)
	if _, numbers := t.(term.List); numbers {
		return t, d.spend(len(list))
	}
	return t, nil
}

func (d *decoder) list() (term.Term, error) {
	n, err := d.count(4)
	if err != nil {
		return nil, err
	}
	elems, err := d.terms(n)
	if err != nil {
		return nil, err
	}
	tail, err := d.term()
	if err != nil {
		return nil, err
	}
	if n == 0 { // which no node writes, and every node reads so
		return tail, nil
	}
	if l, ok := tail.(term.List); ok && len(l) == 0 {
		return asString(elems), nil
	}
	return term.Improper{Elems: elems, Tail: tail}, nil
}

func (d *decoder) terms(n int) (term.List, error) {
	elems := make(term.List, 0, n)
	for range n {
		t, err := d.term()
		if err != nil {
			return nil, err
		}
		elems = append(elems, t)
	}
	return elems, nil
}

func (d *decoder) tuple(tag int) (term.Term, error) {
	size := 1
	if tag == tagLargeTuple {
		size = 4
	}
	n, err := d.count(size)
	if err != nil {
		return nil, err
	}
	elems, err := d.terms(n)
	return term.Tuple(elems), err
}

func (d *decoder) mapping() (term.Term, error) {
	n, err := d.count(4)
	if err == nil {
		err = d.spend(n) // keys and values
	}
	if err != nil {
		return nil, err
	}
	m := make(term.Map, 0, n)
	for range n {
		pair, err := d.terms(2)
		if err != nil {
			return nil, err
		}
		m = append(m, term.Pair{Key: pair[0], Value: pair[1]})
	}
	return m, nil
}

// asString makes a String of a list that io:format("~tp") would print as one.
func asString(list term.List) term.Term {
	for _, e := range list {
		if c, ok := e.(int64); !ok || !printable(c) {
			return list
		}
	}
	if s, ok := term.AsString(list); ok && s != "" {
		return term.String(s)
	}
	return list
}

// printable is io_lib:printable_unicode_list/1 for one character.
func printable(c int64) bool {
	switch {
	case c >= 8 && c <= 13, c == 27, c >= ' ' && c <= '~', c >= 0xa0 && c < 0xd800:
		return true
	}
	return c > 0xdfff && c < 0xfffe || c > 0xffff && c <= utf8.MaxRune
}
