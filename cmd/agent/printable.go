package main

import (
	"strconv"
	"strings"
	"unicode"
)

// printable is text of another's making, such as the slogan of a crash, as it may stand on a terminal or in a line of the
// log: what could be taken for another line, or for an order to the terminal, is written out.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(quoted[1 : len(quoted)-1])
}
