package etf

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/big"
	"strconv"
	"strings"

	"theseus/rpc/term"
)

// json writes a term as JSON. What would be lost is told by names that begin with a dollar sign.
func (r *reader) json(p *paper) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	switch h.kind {
	case tupleKind:
		return r.between(p, "[", "]", func() error { return r.commas(h.n, p, r.json) })
	case mappingKind:
		return r.between(p, "{", "}", func() error { return r.object(h.n, p) })
	case listKind, charsKind:
		return r.jsonList(h, p)
	case binaryKind:
		return r.jsonBinary(h.n, p)
	case bitsKind:
		return r.between(p, `{"$bits":"`, fmt.Sprintf(`","size":%d}`, (h.n-1)*8+h.last), func() error { return r.base64(h.n, p) })
	}
	return p.put(jsonLeaf(h.leaf))
}

func jsonLeaf(t term.Term) string {
	switch t := t.(type) {
	case int64, *big.Int, float64, term.List:
		return term.Format(t)
	case term.Atom:
		switch t {
		case "true", "false", "null":
			return string(t)
		case "nil":
			return "null"
		}
		return jsonString(string(t))
	}
	return jsonString(term.Format(t))
}

func jsonString(text string) string { return `"` + jsonInner(text) + `"` }

// jsonInner is a text as it stands between quotes.
func jsonInner(text string) string {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	_ = out.Encode(text) // of a string there is no error
	return b.String()[1 : b.Len()-2]
}

// latin1Printable is io_lib:printable_latin1_list/1 for one character: programs read more lists of numbers above 255 than
// of such characters.
func latin1Printable(c int64) bool { return c <= 0xff && printable(c) }

func (r *reader) jsonList(h head, p *paper) error {
	switch text, err := r.isString(h, latin1Printable); {
	case err != nil:
		return err
	case text:
		return r.between(p, `"`, `"`, func() error { return r.jsonChars(h, p) })
	}
	return r.between(p, "[", "]", func() error {
		one := r.json
		if h.kind == charsKind {
			one = func(p *paper) error { return r.element(h, p) }
		}
		if err := r.commas(h.n, p, one); err != nil {
			return err
		}
		return r.jsonTail(h, p)
	})
}

func (r *reader) jsonTail(h head, p *paper) error {
	if h.kind == charsKind {
		return nil
	}
	ahead := *r
	tail, err := ahead.head()
	if err != nil {
		return err
	}
	if tail.isNil() {
		*r = ahead
		return nil
	}
	return r.between(p, `,{"$tail":`, "}", func() error { return r.json(p) })
}

func (r *reader) jsonChars(h head, p *paper) error {
	for left := h.n; left > 0; {
		var part strings.Builder
		for ; left > 0 && part.Len() < 4096; left-- {
			c, err := r.char(h.kind)
			if err != nil {
				return err
			}
			part.WriteRune(rune(c))
		}
		if err := p.put(jsonInner(part.String())); err != nil {
			return err
		}
	}
	if h.kind == listKind {
		_, err := r.head()
		return err
	}
	return nil
}

func (r *reader) jsonBinary(n int, p *paper) error {
	ahead := *r
	text, err := ahead.eachText(n, func(string) error { return nil })
	if err != nil {
		return err
	}
	if !text {
		return r.between(p, `{"$binary":"`, `"}`, func() error { return r.base64(n, p) })
	}
	return r.between(p, `"`, `"`, func() error {
		_, err := r.eachText(n, func(part string) error { return p.put(jsonInner(part)) })
		return err
	})
}

func (r *reader) base64(n int, p *paper) error {
	out := base64.NewEncoder(base64.StdEncoding, putter{p})
	for n > 0 {
		b, err := r.some(min(n, 4096))
		if err != nil {
			return err
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
		n -= len(b)
	}
	return out.Close()
}

type putter struct{ *paper }

func (p putter) Write(b []byte) (int, error) { return len(b), p.put(string(b)) }

const (
	maxKey  = 64 << 10 // characters
	maxKeys = 64 << 10 // of one object, that are known not to be there twice
)

// object writes the pairs of a map. An atom or text is a key as it is, everything else as Erlang writes it. Where two keys
// of a map would be the same name, the later one has its type behind it.
func (r *reader) object(n int, p *paper) error {
	seen, seed := map[uint64]bool{}, maphash.MakeSeed()
	return r.commas(n, p, func(p *paper) error {
		name, sort, err := r.key()
		if err != nil {
			return err
		}
		for seen[maphash.String(seed, name)] {
			name += " (" + sort + ")"
		}
		if len(seen) < maxKeys {
			seen[maphash.String(seed, name)] = true
		}
		if err := p.put(jsonString(name), ":"); err != nil {
			return err
		}
		return r.json(p)
	})
}

func (r *reader) key() (name, sort string, err error) {
	ahead := *r
	h, err := ahead.head()
	if err != nil {
		return "", "", err
	}
	if a, ok := h.leaf.(term.Atom); ok {
		*r = ahead
		return string(a), "atom", nil
	}
	if h.kind == binaryKind && h.n <= maxKey {
		text, err := ahead.eachText(h.n, func(part string) error { name += part; return nil })
		if err != nil || text {
			*r = ahead
			return name, "binary", err
		}
	}
	trial := &paper{room: maxKey}
	err = r.line(trial)
	if errors.Is(err, errNoRoom) {
		err = fmt.Errorf("the term is %w: it has a key of more than %s characters", ErrTooLarge, strconv.Itoa(maxKey))
	}
	return string(trial.kept), sortOf(h), err
}

func sortOf(h head) string {
	switch h.leaf.(type) {
	case int64, *big.Int:
		return "integer"
	case float64:
		return "float"
	}
	return [...]string{leafKind: "term", tupleKind: "tuple", listKind: "list", charsKind: "list", mappingKind: "map", binaryKind: "binary", bitsKind: "bitstring"}[h.kind]
}
