package erlexec

import "strings"

// Words are those of an arguments file.
func Words(text string) []string {
	list := words(text, true)
	return list[:max(len(list)-1, 0)] // without its last --
}

// words splits text as erlexec does (erts: build_args_from_string in erlexec.c). White space separates words, a backslash
// outside of quotes takes the next character as it is, and quotes of either kind keep everything but themselves. In a
// file # begins a comment, also within a word; in a variable of the environment it is a character like others. Each file
// and each variable ends with a --, so that what it says last takes no words of what follows.
func words(text string, comments bool) []string {
	s := splitter{comments: comments}
	for _, c := range []byte(text) {
		s.next(c)
	}
	s.end()
	if len(s.words) == 0 {
		return nil
	}
	return append(s.words, "--")
}

// splitter is in one of five states: between words, in one, in quotes, behind a backslash, in a comment.
type splitter struct {
	comments bool
	words    []string
	word     strings.Builder
	inWord   bool
	quote    byte
	escaped  bool
	comment  bool
}

func (s *splitter) next(c byte) {
	switch {
	case s.comment:
		s.comment = c != '\n'
	case s.escaped:
		s.escaped = false
		s.word.WriteByte(c)
	case s.quote != 0 && c == s.quote:
		s.quote = 0
	case s.quote != 0:
		s.word.WriteByte(c)
	case strings.IndexByte("\n\f\r\t\v ", c) >= 0:
		s.end()
	case c == '#' && s.comments:
		s.end()
		s.comment = true
	default:
		s.inWord = true
		s.begin(c)
	}
}

// begin takes a character of a word that is not in quotes.
func (s *splitter) begin(c byte) {
	switch c {
	case '\\':
		s.escaped = true
	case '"', '\'':
		s.quote = c
	default:
		s.word.WriteByte(c)
	}
}

func (s *splitter) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inWord = false
}
