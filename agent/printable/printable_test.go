package printable

import (
	"strings"
	"testing"
)

func TestTextOfOthersMakingIsNoOrderAndNoOtherLine(t *testing.T) {
	long := strings.Repeat("ü", maxLine)
	for name, test := range map[string]struct{ given, text, line string }{
		"harmless":          {`"C:\temp" – fertig 日本`, `"C:\temp" – fertig 日本`, `"C:\temp" – fertig 日本`},
		"nothing":           {"", "", ""},
		"an order":          {"a\x1b[2J\x1b]0;title\x07", `a\x1b[2J\x1b]0;title\a`, `a\x1b[2J\x1b]0;title\a`},
		"one of C1":         {"a\u009b2J\u0090", `a\u009b2J\u0090`, `a\u009b2J\u0090`},
		"and its bytes":     {"a\x9b2J", `a\x9b2J`, `a\x9b2J`},
		"deletes":           {"a\b\x7f\x00", `a\b\x7f\x00`, `a\b\x7f\x00`},
		"turned":            {"\u202a\u202b\u202c\u202d\u202e", `\u202a\u202b\u202c\u202d\u202e`, `\u202a\u202b\u202c\u202d\u202e`},
		"isolated":          {"\u2066\u2067\u2068\u2069", `\u2066\u2067\u2068\u2069`, `\u2066\u2067\u2068\u2069`},
		"no UTF-8":          {"a\xff\xc3", `a\xff\xc3`, `a\xff\xc3`},
		"lines":             {"  one\r\n\ttwo\n", `  one\r\n\ttwo\n`, "one two"},
		"lines of Unicode":  {"one\u2028two\u2029three\u0085four", `one\u2028two\u2029three\u0085four`, "one two three four"},
		"long":              {long, long, long},
		"too long":          {long + "ü", long + "ü", long + "…"},
		"too long, with it": {long + "\x1b", long + `\x1b`, long + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Text(test.given); got != test.text {
				t.Errorf("the text is %q, want %q", got, test.text)
			}
			if got := Line(test.given); got != test.line {
				t.Errorf("the line is %q, want %q", got, test.line)
			}
			if got := Text(test.line); got != test.line {
				t.Errorf("the line as a text is %q", got)
			}
		})
	}
}
