// Package etf reads and writes Erlang terms as they travel between nodes: the external term format
// (erts "External Term Format", erl_ext_dist).
//
// It maps the wire to theseus/rpc/term directly and without loss, which the codec of ergo does not:
// there a map entry whose key is a tuple disappears, [a|b] arrives as [a,b], a bit string as another
// binary, and a port or fun that is sent back becomes a map.
package etf

import (
	"errors"
	"fmt"

	"theseus/rpc/term"
)

// Tags of the external term format.
const (
	version = 131

	tagNewFloat    = 70
	tagBitBinary   = 77
	tagNewPid      = 88
	tagNewPort     = 89
	tagNewerRef    = 90
	tagSmallInt    = 97
	tagInt         = 98
	tagAtomLatin1  = 100
	tagSmallTuple  = 104
	tagLargeTuple  = 105
	tagNil         = 106
	tagString      = 107
	tagList        = 108
	tagBinary      = 109
	tagSmallBig    = 110
	tagLargeBig    = 111
	tagNewFun      = 112
	tagExport      = 113
	tagSmallLatin1 = 115
	tagMap         = 116
	tagAtom        = 118
	tagSmallAtom   = 119
	tagV4Port      = 120
)

// maxDepth bounds the nesting of a term, in both directions: each level costs a stack frame.
const maxDepth = 10_000

// maxTerms bounds what a term takes in memory, which may be forty times what it takes on the wire: about 64 bytes each,
// so 64 MiB beside the bytes of binaries and atoms. What is larger than others counts as several.
const maxTerms = 1 << 20

// ErrTooLarge is a term that would take too much memory as a value.
var ErrTooLarge = errors.New("too large")

// ErrMalformed is a term that ends early, is nested too deep, or has a tag or value no node sends.
var ErrMalformed = errors.New("malformed Erlang term")

// Raw is a term's own bytes. Those of the Opaque terms made here are their Wire, sent back as they came.
type Raw []byte

// Pid is a process of a node, as NEW_PID_EXT has it.
type Pid struct {
	Node                 string
	ID, Serial, Creation uint32
}

// Ref is a reference of a node, with the three words that every OTP release accepts (NEWER_REFERENCE_EXT).
type Ref struct {
	Node     string
	Creation uint32
	Words    [3]uint32
}

// Fun is fun Module:Function/Arity, to be called in the node.
func Fun(module, function string, arity uint8) term.Opaque {
	e := encoder{b: []byte{tagExport}}
	for _, t := range []term.Term{term.Atom(module), term.Atom(function), int64(arity)} {
		_ = e.term(t) // only an atom of more than 255 characters is refused
	}
	return term.Opaque{Text: fmt.Sprintf("fun %s:%s/%d", module, function, arity), Wire: Raw(e.b)}
}
