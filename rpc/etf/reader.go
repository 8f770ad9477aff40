package etf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"theseus/rpc/term"
)

// Source gives bytes of a term from an offset on: 128 KiB, or all that there are to its end. What is in one piece, such as an
// atom or an integer, is read from one.
type Source func(offset int64) ([]byte, error)

// reader reads a term that need not fit into memory, piece by piece. A copy of it reads ahead: how a term is written
// depends on all of it, on whether a list is a string, and whether a tuple has room on the line.
type reader struct {
	source Source
	piece  []byte // what was read last
	at     int    // in the piece, or behind it
	offset int64  // of the piece
	depth  int
}

// kind is what a term begins with.
type kind int

const (
	leafKind    kind = iota // a term without others in it
	tupleKind               // n terms
	listKind                // n terms, and the tail
	charsKind               // a list of n small integers, a byte each
	mappingKind             // n keys, each with its value
	binaryKind              // n bytes
	bitsKind                // n bytes, of the last of which not all bits count
)

// head is how a term begins. What is in it follows.
type head struct {
	kind
	n    int
	last int       // bits that count in the last byte of bits
	leaf term.Term // the whole of it
}

// maxInteger is how long an integer may be that is written, bytes: its digits take a moment, and it must be in one piece.
const maxInteger = 64 << 10

// rest is what there is of the piece.
func (r *reader) rest() []byte { return r.piece[min(r.at, len(r.piece)):] }

// refill reads from here on.
func (r *reader) refill() (err error) {
	r.offset, r.at = r.offset+int64(r.at), 0
	r.piece, err = r.source(r.offset)
	return err
}

// some are the next bytes, one at least and n at most.
func (r *reader) some(n int) ([]byte, error) {
	if len(r.rest()) == 0 {
		if err := r.refill(); err != nil {
			return nil, err
		}
	}
	b := r.rest()
	b = b[:min(n, len(b))]
	r.at += len(b)
	if len(b) == 0 {
		return nil, ErrMalformed
	}
	return b, nil
}

// begin reads the version byte.
func (r *reader) begin() error {
	b, err := r.some(1)
	if err == nil && b[0] != version {
		err = ErrMalformed
	}
	return err
}

// end says that nothing follows.
func (r *reader) end() error {
	if _, err := r.some(1); !errors.Is(err, ErrMalformed) {
		return errors.Join(err, ErrMalformed)
	}
	return nil
}

// head reads how the next term begins; where the piece cuts it, from a new one.
func (r *reader) head() (head, error) {
	h, used, err := readHead(r.rest())
	if errors.Is(err, ErrMalformed) {
		if err := r.refill(); err != nil {
			return head{}, err
		}
		h, used, err = readHead(r.rest())
	}
	r.at += used
	return h, err
}

// enter goes one level deeper.
func (r *reader) enter() error {
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("the term is %w: it is nested deeper than %d levels", ErrTooLarge, maxDepth)
	}
	return nil
}

// readHead reads a head from the beginning of b. What it has used may be more than b, of a fun.
func readHead(b []byte) (h head, used int, err error) {
	d := decoder{b: b, left: maxTerms}
	tag, err := d.uint(1)
	if err != nil {
		return head{}, 0, err
	}
	switch tag {
	case tagSmallTuple:
		h.kind = tupleKind
		h.n, err = d.uint(1)
	case tagLargeTuple:
		h.kind = tupleKind
		h.n, err = d.uint(4)
	case tagList:
		h.kind = listKind
		if h.n, err = d.uint(4); err == nil && h.n == 0 { // nothing but its tail
			h, used, err = readHead(d.b)
			return h, used + len(b) - len(d.b), err
		}
	case tagString:
		h.kind = charsKind
		if h.n, err = d.uint(2); err == nil && h.n == 0 {
			h = head{leaf: term.List{}}
		}
	case tagMap:
		h.kind = mappingKind
		h.n, err = d.uint(4)
	case tagBinary:
		h.kind = binaryKind
		h.n, err = d.uint(4)
	case tagBitBinary:
		h.kind = bitsKind
		h.n, h.last, err = d.bitsHead()
	case tagNewFun:
		return funHead(b)
	default:
		return leafHead(b)
	}
	return h, len(b) - len(d.b), err
}

func (d *decoder) bitsHead() (n, last int, err error) {
	if n, err = d.uint(4); err != nil {
		return 0, 0, err
	}
	last, err = d.uint(1)
	if err == nil && (n == 0 || last < 1 || last > 8) {
		err = ErrMalformed
	}
	return n, last, err
}

// funHead reads of a fun what is written of it. What it closes over may be long, and is skipped.
func funHead(b []byte) (head, int, error) {
	d := decoder{b: b[1:], left: maxTerms}
	size, err := d.uint(4)
	if err != nil {
		return head{}, 0, err
	}
	text, err := d.funText(size)
	return head{leaf: term.Opaque{Text: text}}, 1 + size, err
}

func leafHead(b []byte) (head, int, error) {
	if b[0] == tagLargeBig && len(b) > 5 {
		size := decoder{b: b[1:]}
		if n, _ := size.uint(4); n > maxInteger {
			return head{}, 0, fmt.Errorf("the term is %w: it has an integer of %d bytes", ErrTooLarge, n)
		}
	}
	d := decoder{b: b, left: maxTerms}
	t, err := d.term()
	if f, ok := t.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) { // no node has one
		err = ErrMalformed
	}
	return head{leaf: t}, len(b) - len(d.b), err
}

// isString says whether what follows a head is a list of such characters alone, one at least.
func (r *reader) isString(h head, printable func(int64) bool) (bool, error) {
	ahead := *r
	for range h.n {
		c, err := ahead.char(h.kind)
		if err != nil || !printable(c) {
			return false, err
		}
	}
	if h.kind == charsKind {
		return h.n > 0, nil
	}
	tail, err := ahead.head()
	return err == nil && tail.isNil(), err
}

func (h head) isNil() bool {
	l, ok := h.leaf.(term.List)
	return ok && len(l) == 0
}

// char is the next element of a list; -1 is none.
func (r *reader) char(k kind) (int64, error) {
	if k == charsKind {
		b, err := r.some(1)
		if err != nil {
			return 0, err
		}
		return int64(b[0]), nil
	}
	h, err := r.head()
	c, ok := h.leaf.(int64)
	if !ok || c > utf8.MaxRune {
		c = -1
	}
	return c, err
}

// eachText passes n bytes on as text, part by part, until one is no UTF-8.
func (r *reader) eachText(n int, each func(string) error) (valid bool, err error) {
	var part []byte
	for n > 0 {
		b, err := r.some(min(n, 4096))
		if err != nil {
			return false, err
		}
		n -= len(b)
		part = append(part, b...)
		whole := len(part)
		if n > 0 {
			whole -= cutOff(part)
		}
		if !utf8.Valid(part[:whole]) {
			return false, nil
		}
		if err := each(string(part[:whole])); err != nil {
			return true, err
		}
		part = slices.Clone(part[whole:])
	}
	return true, nil
}

// cutOff is how many bytes at the end are the beginning of a character.
func cutOff(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if utf8.FullRune(b[len(b)-i:]) {
				return 0
			}
			return i
		}
	}
	return 0
}
