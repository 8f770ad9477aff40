package etf

import (
	"errors"
	"strconv"
	"unicode/utf8"

	"theseus/rpc/term"
)

// line writes a term on one line.
func (r *reader) line(p *paper) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	return r.lineOf(h, p)
}

func (r *reader) lineOf(h head, p *paper) error {
	switch h.kind {
	case tupleKind:
		return r.between(p, "{", "}", func() error { return r.commas(h.n, p, r.line) })
	case mappingKind:
		return r.between(p, "#{", "}", func() error { return r.commas(h.n, p, r.pair) })
	case listKind, charsKind:
		return r.listLine(h, p)
	case binaryKind:
		return r.binaryLine(h.n, p)
	case bitsKind:
		return r.between(p, "<<", ">>", func() error { return r.bits(h, p) })
	}
	return p.put(term.Format(h.leaf))
}

func (r *reader) between(p *paper, opening, closing string, inner func() error) error {
	if err := errors.Join(r.enter(), p.put(opening)); err != nil {
		return err
	}
	if err := inner(); err != nil {
		return err
	}
	r.depth--
	return p.put(closing)
}

// commas writes n things.
func (r *reader) commas(n int, p *paper, one func(*paper) error) error {
	for i := range n {
		if i > 0 {
			if err := p.put(","); err != nil {
				return err
			}
		}
		if err := one(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) pair(p *paper) error {
	if err := r.line(p); err != nil {
		return err
	}
	if err := p.put(" => "); err != nil {
		return err
	}
	return r.line(p)
}

func (r *reader) listLine(h head, p *paper) error {
	if p.trial() && h.n > p.room {
		return errNoRoom
	}
	switch text, err := r.isString(h, printable); {
	case err != nil:
		return err
	case text:
		return r.quoted(h, p)
	}
	return r.between(p, "[", "]", func() error {
		if err := r.commas(h.n, p, func(p *paper) error { return r.element(h, p) }); err != nil {
			return err
		}
		return r.tail(h, p, r.line)
	})
}

// element is one of a list that is no string.
func (r *reader) element(h head, p *paper) error {
	if h.kind == listKind {
		return r.line(p)
	}
	c, err := r.char(h.kind)
	if err != nil {
		return err
	}
	return p.put(strconv.FormatInt(c, 10))
}

// tail is what is behind the elements of a list.
func (r *reader) tail(h head, p *paper, write func(*paper) error) error {
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
	if err := p.put("|"); err != nil {
		return err
	}
	return write(p)
}

// quoted writes a list that is a string.
func (r *reader) quoted(h head, p *paper) error {
	if err := p.put(`"`); err != nil {
		return err
	}
	for left := h.n; left > 0; {
		part := make([]rune, min(left, 1024))
		for i := range part {
			c, err := r.char(h.kind)
			if err != nil {
				return err
			}
			part[i] = rune(c)
		}
		left -= len(part)
		if err := p.put(inner(string(part))); err != nil {
			return err
		}
	}
	if h.kind == listKind {
		if _, err := r.head(); err != nil {
			return err
		}
	}
	return p.put(`"`)
}

// inner is a printable text as it stands between quotes.
func inner(text string) string {
	quoted := term.Format(term.String(text))
	return quoted[1 : len(quoted)-1]
}

func (r *reader) binaryLine(n int, p *paper) error {
	if p.trial() && n > utf8.UTFMax*p.room {
		return errNoRoom
	}
	ahead, ascii := *r, true
	text, err := ahead.eachText(n, func(part string) error {
		for _, c := range part {
			if ascii = ascii && c < utf8.RuneSelf; !printable(int64(c)) {
				return errNoText
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoText):
		text = false
	case err != nil:
		return err
	}
	if !text || n == 0 {
		return r.between(p, "<<", ">>", func() error { return r.numbers(n, p) })
	}
	closing := `">>`
	if !ascii {
		closing = `"/utf8>>`
	}
	return r.between(p, `<<"`, closing, func() error {
		_, err := r.eachText(n, func(part string) error { return p.put(inner(part)) })
		return err
	})
}

var errNoText = errors.New("no text")

// numbers are the bytes of a binary that is no text.
func (r *reader) numbers(n int, p *paper) error {
	return r.commas(n, p, func(p *paper) error {
		b, err := r.some(1)
		if err != nil {
			return err
		}
		return p.put(strconv.Itoa(int(b[0])))
	})
}

func (r *reader) bits(h head, p *paper) error {
	if err := r.numbers(h.n-1, p); err != nil {
		return err
	}
	b, err := r.some(1)
	if err != nil {
		return err
	}
	if h.n > 1 {
		if err := p.put(","); err != nil {
			return err
		}
	}
	return p.put(strconv.Itoa(int(b[0]>>(8-h.last))), ":", strconv.Itoa(h.last))
}
