package etf

import (
	"fmt"
	"strings"

	"theseus/rpc/term"
)

// opaque reads a term that Go has no value for and returns it as the Erlang shell prints it.
func (d *decoder) opaque(tag int) (text string, err error) {
	switch tag {
	case tagNewPid:
		_, p, err := d.numbers(3)
		return fmt.Sprintf("<0.%d.%d>", p[0], p[1]), err
	case tagNewPort:
		_, p, err := d.numbers(2)
		return fmt.Sprintf("#Port<0.%d>", p[0]), err
	case tagV4Port:
		_, p, err := d.numbers(3)
		return fmt.Sprintf("#Port<0.%d>", uint64(p[0])<<32|uint64(p[1])), err
	case tagNewerRef:
		words, _, _, err := d.ref()
		return refText(words), err
	case tagBitBinary:
		return d.bits()
	case tagExport:
		return d.export()
	case tagNewFun:
		return d.fun()
	}
	return "", fmt.Errorf("%w: unknown tag %d", ErrMalformed, tag)
}

// numbers reads a node name and n words of 32 bits, the body of a pid or port. The words are there,
// as zeros, even with an error.
func (d *decoder) numbers(n int) (node string, words []uint32, err error) {
	words = make([]uint32, n)
	if node, err = d.atom(); err != nil {
		return "", words, err
	}
	for i := range words {
		w, err := d.uint(4)
		if err != nil {
			return "", words, err
		}
		words[i] = uint32(w)
	}
	return node, words, nil
}

// ref reads the body of NEWER_REFERENCE_EXT: up to five words since OTP 24.
func (d *decoder) ref() (words []uint32, node string, creation uint32, err error) {
	n, err := d.uint(2)
	if err != nil || n > 5 {
		return nil, "", 0, ErrMalformed
	}
	node, all, err := d.numbers(n + 1)
	return all[1:], node, all[0], err
}

// refText prints the last word first, as Erlang does.
func refText(words []uint32) string {
	s := "#Ref<0"
	for i := len(words) - 1; i >= 0; i-- {
		s += fmt.Sprintf(".%d", words[i])
	}
	return s + ">"
}

func (d *decoder) bits() (string, error) {
	n, err := d.uint(4)
	if err != nil {
		return "", err
	}
	last, err := d.uint(1)
	if err != nil {
		return "", err
	}
	b, err := d.take(n)
	if err != nil || n == 0 || last < 1 || last > 8 {
		return "", ErrMalformed
	}
	if err := d.spend(n); err != nil { // each is written as a number
		return "", err
	}
	var s strings.Builder
	for _, c := range b[:n-1] {
		fmt.Fprintf(&s, "%d,", c)
	}
	return fmt.Sprintf("<<%s%d:%d>>", s.String(), b[n-1]>>(8-last), last), nil
}

func (d *decoder) export() (string, error) {
	mfa, err := d.terms(3)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("fun %s:%s/%s", term.Format(mfa[0]), term.Format(mfa[1]), term.Format(mfa[2])), nil
}

// fun reads NEW_FUN_EXT, which says its own size, these four bytes included. Only its module is of
// interest; what it closes over is skipped, and travels in Raw.
func (d *decoder) fun() (string, error) {
	size, err := d.uint(4)
	if err != nil || size < 4 || size-4 > len(d.b) {
		return "", ErrMalformed
	}
	fun := decoder{b: d.b[:size-4]}
	d.b = d.b[size-4:]
	return fun.funText(size)
}

// funText reads what a fun is printed as, from behind its size.
func (d *decoder) funText(size int) (string, error) {
	const uniq = 1 + 16         // arity and unique value, before the index
	const header = uniq + 4 + 4 // and the number of free variables
	if size < 4+header {
		return "", ErrMalformed
	}
	if _, err := d.take(uniq); err != nil {
		return "", err
	}
	index, err := d.uint(4)
	if err != nil {
		return "", err
	}
	if _, err := d.take(4); err != nil {
		return "", err
	}
	module, err := d.atom()
	return fmt.Sprintf("#Fun<%s.%d>", module, index), err
}
