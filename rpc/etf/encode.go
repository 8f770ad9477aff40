package etf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"

	"theseus/rpc/term"
)

// Append adds t to b, with the version byte in front. Besides the terms of package term it takes Pid
// and Ref. It refuses what a node would not decode: a node drops the connection over such a term, and
// with it every other call.
func Append(b []byte, t term.Term) ([]byte, error) {
	e := encoder{b: append(b, version)}
	if err := e.term(t); err != nil {
		return b, fmt.Errorf("cannot send %.80s: %w", printed(t), err)
	}
	return e.b, nil
}

// printed is for an error message only; a term too deep to send is too deep to print.
func printed(t term.Term) string {
	switch t.(type) {
	case term.Atom, term.String, term.Binary, float64, int64, *big.Int:
		return term.Format(t)
	}
	return fmt.Sprintf("%T", t)
}

type encoder struct {
	b     []byte
	depth int
}

func (e *encoder) term(t term.Term) error {
	if e.depth++; e.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	defer func() { e.depth-- }()
	switch t := t.(type) {
	case term.Atom:
		return e.atom(string(t))
	case int64:
		e.int(t)
	case *big.Int:
		return e.big(t)
	case float64:
		return e.float(t)
	case term.Binary:
		e.head(tagBinary, 4, len(t))
		e.b = append(e.b, t...)
	case Pid:
		return e.node(tagNewPid, t.Node, t.ID, t.Serial, t.Creation)
	case Ref:
		e.head(tagNewerRef, 2, len(t.Words))
		return e.words(t.Node, t.Creation, t.Words[0], t.Words[1], t.Words[2])
	case term.Opaque:
		raw, ok := t.Wire.(Raw)
		if !ok {
			return fmt.Errorf("%s did not come from a node", t.Text)
		}
		e.b = append(e.b, raw...)
	default:
		return e.compound(t)
	}
	return nil
}

func (e *encoder) compound(t term.Term) error {
	switch t := t.(type) {
	case term.Tuple:
		return e.tuple(t)
	case term.String:
		return e.str(string(t))
	case term.List:
		return e.list(t, term.List{})
	case term.Improper:
		if len(t.Elems) == 0 {
			return errors.New("an improper list needs a first element")
		}
		return e.list(t.Elems, t.Tail)
	case term.Map:
		return e.mapping(t)
	}
	return fmt.Errorf("%T is not an Erlang term", t)
}

// head writes a tag and a length of size bytes: 1, 2 or 4.
func (e *encoder) head(tag byte, size, n int) {
	e.b = append(e.b, tag)
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		e.b = append(e.b, byte(n>>shift))
	}
}

func (e *encoder) atom(s string) error {
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 255 {
		return errors.New("an atom has at most 255 characters of UTF-8")
	}
	if len(s) < 256 {
		e.head(tagSmallAtom, 1, len(s))
	} else {
		e.head(tagAtom, 2, len(s))
	}
	e.b = append(e.b, s...)
	return nil
}

func (e *encoder) int(n int64) {
	switch {
	case n >= 0 && n < 256:
		e.b = append(e.b, tagSmallInt, byte(n))
	case n >= math.MinInt32 && n <= math.MaxInt32:
		e.head(tagInt, 4, int(n))
	default:
		e.digits(big.NewInt(n))
	}
}

func (e *encoder) big(i *big.Int) error {
	if i == nil {
		return errors.New("a nil *big.Int is not an Erlang term")
	}
	if i.IsInt64() {
		e.int(i.Int64())
	} else {
		e.digits(i)
	}
	return nil
}

func (e *encoder) digits(i *big.Int) {
	digits := i.Bytes()
	slices.Reverse(digits)
	if len(digits) < 256 {
		e.head(tagSmallBig, 1, len(digits))
	} else {
		e.head(tagLargeBig, 4, len(digits))
	}
	sign := byte(0)
	if i.Sign() < 0 {
		sign = 1
	}
	e.b = append(append(e.b, sign), digits...)
}

func (e *encoder) float(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("there is no such float in Erlang")
	}
	e.b = binary.BigEndian.AppendUint64(append(e.b, tagNewFloat), math.Float64bits(f))
	return nil
}

func (e *encoder) node(tag byte, name string, words ...uint32) error {
	e.b = append(e.b, tag)
	return e.words(name, words...)
}

func (e *encoder) words(name string, words ...uint32) error {
	if err := e.atom(name); err != nil {
		return err
	}
	for _, w := range words {
		e.b = binary.BigEndian.AppendUint32(e.b, w)
	}
	return nil
}

func (e *encoder) tuple(t term.Tuple) error {
	if len(t) < 256 {
		e.head(tagSmallTuple, 1, len(t))
	} else {
		e.head(tagLargeTuple, 4, len(t))
	}
	return e.terms(term.List(t))
}

func (e *encoder) str(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("a string must be UTF-8; a binary need not")
	}
	list := make(term.List, 0, len(s))
	for _, c := range s {
		list = append(list, int64(c))
	}
	return e.list(list, term.List{})
}

func (e *encoder) list(elems term.List, tail term.Term) error {
	if len(elems) > 0 {
		e.head(tagList, 4, len(elems))
		if err := e.terms(elems); err != nil {
			return err
		}
	}
	if l, ok := tail.(term.List); ok && len(l) == 0 {
		e.b = append(e.b, tagNil)
		return nil
	}
	return e.term(tail)
}

func (e *encoder) terms(elems term.List) error {
	for _, t := range elems {
		if err := e.term(t); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) mapping(m term.Map) error {
	e.head(tagMap, 4, len(m))
	seen := make(map[string]bool, len(m))
	for _, p := range m {
		start := len(e.b)
		if err := e.term(p.Key); err != nil {
			return err
		}
		key := string(e.b[start:])
		if seen[key] {
			return fmt.Errorf("the map has the key %s twice", printed(p.Key))
		}
		seen[key] = true
		if err := e.term(p.Value); err != nil {
			return err
		}
	}
	return nil
}
