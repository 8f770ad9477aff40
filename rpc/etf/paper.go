package etf

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf8"
)

// Style is how a term is written.
type Style int

const (
	// Line is one line, as term.Format has it.
	Line Style = iota
	// Pretty is like io:format("~tp"): lines of eighty characters where the term lets them.
	Pretty
	// JSON is the mapping of docs/api.md.
	JSON
)

// Write writes a term in its external format, of any size, in a bounded amount of memory. What was written before an
// error is the beginning of the term's text.
func Write(w io.Writer, source Source, style Style) error {
	r, p := &reader{source: source}, &paper{w: bufio.NewWriterSize(w, 32<<10)}
	write := map[Style]func(*reader, *paper) error{Line: (*reader).line, Pretty: (*reader).pretty, JSON: (*reader).json}[style]
	err := r.begin()
	if err == nil {
		err = write(r, p)
	}
	if err == nil {
		err = r.end()
	}
	return errors.Join(err, p.w.Flush())
}

// paper is what is written on. A trial has room for so many characters, and keeps them.
type paper struct {
	w      *bufio.Writer // nil: a trial
	column int
	lines  int // that were begun
	room   int
	kept   []byte
}

// errNoRoom ends a trial.
var errNoRoom = errors.New("no room")

func (p *paper) trial() bool { return p.w == nil }

func (p *paper) put(texts ...string) error {
	for _, text := range texts {
		n := utf8.RuneCountInString(text)
		if p.column += n; !p.trial() {
			if _, err := p.w.WriteString(text); err != nil {
				return err
			}
			continue
		}
		if p.room -= n; p.room < 0 {
			return errNoRoom
		}
		p.kept = append(p.kept, text...)
	}
	return nil
}

const spaces = "                                                                                "

// newline goes to a column of the next line.
func (p *paper) newline(column int) error {
	if err := p.put("\n"); err != nil {
		return err
	}
	p.column = 0
	p.lines++
	return p.put(spaces[:min(column, len(spaces))])
}
