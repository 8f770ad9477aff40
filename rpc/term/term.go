// Package term holds Erlang terms as Go values, and reads and writes their text form.
//
// Release resource files, RELEASES, relup and sys.config are such text, and so are the arguments and
// results of an rpc on the command line. The parser has limits, because a package is untrusted input:
// a node that consults a hostile file can be killed by it (new atoms, giant integers).
package term

import "math/big"

// Term is one of Atom, int64, *big.Int, float64, String, Binary, Tuple, List, Improper, Map or Opaque.
type Term any

type (
	// Atom is an Erlang atom, without quotes.
	Atom string
	// String is a non-empty proper list of characters, as written "like this".
	// The empty string is List{}, as it is in Erlang; AsString reads all forms.
	String string
	// Binary is a byte-aligned binary.
	Binary []byte
	// Tuple is a tuple of any arity.
	Tuple []Term
	// List is a proper list; List{} is the empty list.
	List []Term
	// Improper is a list whose tail is not a list: [a, b | Tail].
	Improper struct {
		Elems List
		Tail  Term
	}
	// Map keeps its pairs in the order in which they were read.
	Map []Pair
	// Pair is one association of a Map.
	Pair struct{ Key, Value Term }
	// Opaque is a term without a text form that can be read back: a pid, port, reference or fun.
	Opaque struct {
		Text string // as Erlang prints it: <0.42.0>, #Ref<…>
		Wire any    // the transport's own value, so that it can be sent back; nil when there is none
	}
)

// AsString returns the characters of a String or of a List of characters, the empty list included.
func AsString(t Term) (string, bool) {
	switch t := t.(type) {
	case String:
		return string(t), true
	case List:
		runes := make([]rune, 0, len(t))
		for _, e := range t {
			c, ok := e.(int64)
			if !ok || c < 0 || c > 0x10ffff {
				return "", false
			}
			runes = append(runes, rune(c))
		}
		return string(runes), true
	}
	return "", false
}

// AsInt returns t as an int64 where it is an integer that fits.
func AsInt(t Term) (int64, bool) {
	switch t := t.(type) {
	case int64:
		return t, true
	case *big.Int:
		return t.Int64(), t.IsInt64()
	}
	return 0, false
}
