// Package printable makes text of others' making, such as the slogan of a crash, one that may stand in a message, on a terminal or in a
// line of the log.
package printable

import (
	"strconv"
	"strings"
	"unicode"
)

// Text writes out what could be taken for another line, or for an order to the terminal: control characters, marks that turn the
// direction of writing, what is no UTF-8.
func Text(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(quoted[1 : len(quoted)-1])
}

const maxLine = 300 // characters

// Line is text as a part of a message: on one line, and not long.
func Line(text string) string {
	text = Text(strings.Join(strings.Fields(text), " "))
	characters := 0
	for i := range text {
		if characters == maxLine {
			return text[:i] + "…"
		}
		characters++
	}
	return text
}
