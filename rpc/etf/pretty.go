package etf

import (
	"errors"
	"unicode/utf8"

	"theseus/rpc/term"
)

const (
	width = 80 // of a line
	// deepest is the column from which on a term stays on its line, however long it gets.
	deepest = 60
	// longestTag is how long an atom may be behind which the rest of a tuple stands in a column.
	longestTag = 20
)

// pretty writes a term where the line has room for it, and else its parts below each other.
func (r *reader) pretty(p *paper) error {
	ahead, trial := *r, &paper{room: width - 1 - p.column} // a bracket or comma follows
	switch err := ahead.line(trial); {
	case err == nil:
		*r = ahead
		return p.put(string(trial.kept))
	case !errors.Is(err, errNoRoom):
		return err
	}
	h, err := r.head()
	if err != nil {
		return err
	}
	if p.column > deepest {
		return r.lineOf(h, p)
	}
	switch h.kind {
	case tupleKind:
		return r.between(p, "{", "}", func() error { return r.column(h, p) })
	case mappingKind:
		return r.between(p, "#{", "}", func() error { return r.pairs(h.n, p) })
	case listKind, charsKind:
		switch text, err := r.isString(h, printable); {
		case err != nil:
			return err
		case text:
			return r.quoted(h, p)
		}
		return r.between(p, "[", "]", func() error { return r.elements(h, p) })
	}
	return r.lineOf(h, p)
}

// column writes the parts of a tuple below each other, to the right of its tag; those that have room on one line share it.
func (r *reader) column(h head, p *paper) error {
	indent, lines := p.column, p.lines
	tagged, err := r.tag()
	for i := 0; i < h.n && err == nil; i++ {
		if i > 1 || i == 1 && !tagged {
			if p.lines > lines || !r.fits(p) {
				err = p.newline(indent)
			}
		}
		lines = p.lines
		if err == nil {
			err = r.pretty(p)
		}
		if err == nil && i < h.n-1 {
			err = p.put(",")
		}
		if i == 0 && tagged {
			indent = p.column
		}
	}
	return err
}

// fits says whether the next term has room on the line.
func (r *reader) fits(p *paper) bool {
	ahead := *r
	return ahead.line(&paper{room: width - 1 - p.column}) == nil
}

// tag says whether a short atom follows.
func (r *reader) tag() (bool, error) {
	ahead := *r
	h, err := ahead.head()
	name, ok := h.leaf.(term.Atom)
	return ok && utf8.RuneCountInString(string(name)) <= longestTag, err
}

func (r *reader) pairs(n int, p *paper) error {
	indent := p.column
	for i := range n {
		err := error(nil)
		if i > 0 {
			err = errors.Join(p.put(","), p.newline(indent))
		}
		if err == nil {
			err = r.pretty(p)
		}
		if err == nil {
			err = p.put(" => ")
		}
		if err == nil {
			err = r.pretty(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// elements writes those of a list: numbers and atoms fill the line, what has parts begins a new one.
func (r *reader) elements(h head, p *paper) error {
	indent, filling := p.column, true
	for i := range h.n {
		next, fills, err := r.next(h)
		if err != nil {
			return err
		}
		if i > 0 {
			err = p.put(",")
			if err == nil && (!filling || !fills || p.column+utf8.RuneCountInString(next) >= width-1) {
				err = p.newline(indent)
			}
		}
		if filling = fills; err == nil && fills {
			err = p.put(next)
		} else if err == nil {
			err = r.pretty(p)
		}
		if err != nil {
			return err
		}
	}
	return r.tail(h, p, r.pretty)
}

// next reads an element if it is one without parts.
func (r *reader) next(h head) (text string, fills bool, err error) {
	if h.kind == charsKind {
		c, err := r.char(charsKind)
		return term.Format(c), true, err
	}
	ahead := *r
	e, err := ahead.head()
	if err != nil || e.kind != leafKind {
		return "", false, err
	}
	*r = ahead
	return term.Format(e.leaf), true, nil
}
