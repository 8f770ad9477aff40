package etf

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"theseus/rpc/term"
)

// inPieces is a source of bytes that come so many at a time.
func inPieces(b []byte, size int) Source {
	return func(offset int64) ([]byte, error) {
		if offset >= int64(len(b)) {
			return nil, nil
		}
		return b[offset:min(offset+int64(size), int64(len(b)))], nil
	}
}

func written(t testing.TB, b []byte, size int, style Style) string {
	t.Helper()
	var text strings.Builder
	if err := Write(&text, inPieces(b, size), style); err != nil {
		t.Errorf("%x: %v", b, err)
	}
	return text.String()
}

func encoded(t testing.TB, v term.Term) []byte {
	t.Helper()
	b, err := Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// pid is <0.7.1> of the node a@b.
var pid = term.Opaque{Text: "<0.7.1>", Wire: Raw("\x58w\x03a@b\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00\x02")}

// fun closes over a binary of 3000 bytes.
var fun = term.Opaque{Text: "#Fun<m.5>", Wire: Raw("p\x00\x00\x0b\xe4\x01" + strings.Repeat("u", 16) + "\x00\x00\x00\x05\x00\x00\x00\x01w\x01m" + strings.Repeat("x", 0xbe4-32))}

var huge, _ = new(big.Int).SetString("-123456789012345678901234567890", 10)

var samples = []struct {
	term       term.Term
	line, json string
}{
	{term.Atom("ok"), `ok`, `"ok"`},
	{term.Atom("true"), `true`, `true`},
	{term.Atom("nil"), `nil`, `null`},
	{term.Atom("a b"), `'a b'`, `"a b"`},
	{int64(-5), `-5`, `-5`},
	{huge, `-123456789012345678901234567890`, `-123456789012345678901234567890`},
	{1.5, `1.5`, `1.5`},
	{1e22, `1.0e22`, `1.0e22`},
	{term.List{}, `[]`, `[]`},
	{term.String("żółw\n"), `"żółw\n"`, `[380,243,322,119,10]`},
	{term.String("ètre\n"), `"ètre\n"`, `"ètre\n"`},
	{term.String("plain"), `"plain"`, `"plain"`},
	{term.List{int64(1), int64(2)}, `[1,2]`, `[1,2]`},
	{term.List{int64(1), term.Atom("a")}, `[1,a]`, `[1,"a"]`},
	{term.List{int64('a'), int64(-1)}, `[97,-1]`, `[97,-1]`},
	{term.Improper{Elems: term.List{int64('a')}, Tail: int64('b')}, `[97|98]`, `[97,{"$tail":98}]`},
	{term.Tuple{term.Atom("error"), term.Tuple{}}, `{error,{}}`, `["error",[]]`},
	{term.List{term.Tuple{term.Atom("a"), int64(1)}, term.Tuple{term.Atom("a"), int64(2)}}, `[{a,1},{a,2}]`, `[["a",1],["a",2]]`},
	{term.Binary("text <&>"), `<<"text <&>">>`, `"text <&>"`},
	{term.Binary("żółw"), `<<"żółw"/utf8>>`, `"żółw"`},
	{term.Binary{}, `<<>>`, `""`},
	{term.Binary{0, 255}, `<<0,255>>`, `{"$binary":"AP8="}`},
	{term.Binary{1, 2}, `<<1,2>>`, "\"\\u0001\\u0002\""},
	{term.Map{}, `#{}`, `{}`},
	{
		term.Map{{Key: term.Atom("a"), Value: int64(1)}, {Key: term.Binary("a"), Value: int64(2)}, {Key: int64(7), Value: pid}, {Key: term.Tuple{int64(1)}, Value: term.List{}}},
		`#{a => 1,<<"a">> => 2,7 => <0.7.1>,{1} => []}`, `{"a":1,"a (binary)":2,"7":"<0.7.1>","{1}":[]}`,
	},
	{pid, `<0.7.1>`, `"<0.7.1>"`},
	{term.List{fun, int64(1)}, `[#Fun<m.5>,1]`, `["#Fun<m.5>",1]`},
	{term.Opaque{Text: "<<1,5:3>>", Wire: Raw("M\x00\x00\x00\x02\x03\x01\xa0")}, `<<1,5:3>>`, `{"$bits":"AaA=","size":11}`},
	{Fun("lists", "map", 2), `fun lists:map/2`, `"fun lists:map/2"`},
}

func TestATermIsWrittenTheSameHoweverItComes(t *testing.T) {
	for _, s := range samples {
		b := encoded(t, s.term)
		for _, size := range []int{64, 97, 4096} {
			if len(b) > 1000 {
				size += 4096
			}
			if got := written(t, b, size, Line); got != s.line {
				t.Errorf("line: got %s, want %s", got, s.line)
			}
			if got := written(t, b, size, Pretty); got != s.line {
				t.Errorf("pretty: got %s, want %s", got, s.line)
			}
			if got := written(t, b, size, JSON); got != s.json || !json.Valid([]byte(got)) {
				t.Errorf("JSON: got %s, want %s", got, s.json)
			}
		}
	}
}

// all is a term of everything, several times.
func all() term.Term {
	list := term.List{}
	for range 50 {
		for _, s := range samples {
			list = append(list, s.term)
		}
	}
	return term.Tuple{term.Atom("everything"), list, term.Map{{Key: term.Atom("again"), Value: list}}}
}

func TestALargeTermIsTheSameInPieces(t *testing.T) {
	b := encoded(t, all())
	whole, _, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, b, 5000, Line); got != term.Format(whole) {
		t.Errorf("got %.300s", got)
	}
	var v any
	if err := json.Unmarshal([]byte(written(t, b, 5000, JSON)), &v); err != nil {
		t.Error(err)
	}
	pretty := written(t, b, 5000, Pretty)
	if got := strings.Join(strings.FieldsFunc(pretty, func(c rune) bool { return c == ' ' || c == '\n' }), ""); got != strings.ReplaceAll(term.Format(whole), " ", "") {
		t.Errorf("got %.300s", got)
	}
	for line := range strings.Lines(pretty) {
		if len([]rune(line)) > 81 {
			t.Errorf("a line of %d characters: %s", len([]rune(line)), line)
		}
	}
}

func TestAPrettyTermHasItsPartsBelowEachOther(t *testing.T) {
	app := func(name, text string) term.Term {
		return term.Tuple{term.Atom(name), term.String(text), term.String("8.5.3")}
	}
	numbers := term.List{}
	for i := range int64(40) {
		numbers = append(numbers, i*100)
	}
	for want, value := range map[string]term.Term{
		`[{kernel,"ERTS  CXC 138 10","8.5.3"},
 {stdlib,"ERTS  CXC 138 10 and a text that is longer","8.5.3"},
 {cnt,"x","8.5.3"}]`: term.List{app("kernel", "ERTS  CXC 138 10"), app("stdlib", "ERTS  CXC 138 10 and a text that is longer"), app("cnt", "x")},
		`[0,100,200,300,400,500,600,700,800,900,1000,1100,1200,1300,1400,1500,1600,1700,
 1800,1900,2000,2100,2200,2300,2400,2500,2600,2700,2800,2900,3000,3100,3200,
 3300,3400,3500,3600,3700,3800,3900]`: numbers,
		`[{"demo","1.0.0",
  ["kernel-8.5.3","stdlib-4.2","sasl-4.2","demo_codec-1.0.0","demo-1.0.0"],
  permanent}]`: term.List{term.Tuple{term.String("demo"), term.String("1.0.0"), term.List{
			term.String("kernel-8.5.3"), term.String("stdlib-4.2"), term.String("sasl-4.2"), term.String("demo_codec-1.0.0"), term.String("demo-1.0.0"),
		}, term.Atom("permanent")}},
		`{state,#{first => "a text that is as long as half of the line is",
         second => <<"and another one, that has to be below">>},
       [],undefined}`: term.Tuple{term.Atom("state"), term.Map{
			{Key: term.Atom("first"), Value: term.String("a text that is as long as half of the line is")},
			{Key: term.Atom("second"), Value: term.Binary("and another one, that has to be below")},
		}, term.List{}, term.Atom("undefined")},
	} {
		if got := written(t, encoded(t, value), 4096, Pretty); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	deep := []byte{version}
	for range maxDepth + 1 {
		deep = append(deep, tagSmallTuple, 1)
	}
	for about, c := range map[string]struct {
		bytes []byte
		want  error
	}{
		"nothing":               {nil, ErrMalformed},
		"another version":       {[]byte{130, tagNil}, ErrMalformed},
		"the beginning of one":  {encoded(t, all())[:5000], ErrMalformed},
		"something behind it":   {[]byte{version, tagNil, tagNil}, ErrMalformed},
		"a tag that nobody has": {[]byte{version, 1}, ErrMalformed},
		"depth":                 {append(deep, tagNil), ErrTooLarge},
		"an endless integer":    {append([]byte{version, tagLargeBig, 1, 0, 0, 0, 0}, make([]byte, 1<<24)...), ErrTooLarge},
	} {
		for _, style := range []Style{Line, Pretty, JSON} {
			if err := Write(&bytes.Buffer{}, inPieces(c.bytes, 4096), style); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", about, err, c.want)
			}
		}
	}
	gone := errors.New("gone")
	if err := Write(&bytes.Buffer{}, func(int64) ([]byte, error) { return nil, gone }, Line); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func FuzzWrite(f *testing.F) {
	for _, s := range samples {
		f.Add(encoded(f, s.term), 7)
	}
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if len(b) > 1<<16 {
			return
		}
		var line, pretty, object bytes.Buffer
		size = 2048 + size&0xfff
		err := Write(&line, inPieces(b, size), Line)
		if again := Write(&pretty, inPieces(b, size), Pretty); (err == nil) != (again == nil) {
			t.Errorf("a line: %v, pretty: %v", err, again)
		}
		if err := Write(&object, inPieces(b, size), JSON); err == nil && !json.Valid(object.Bytes()) {
			t.Errorf("no JSON: %s", object.Bytes())
		}
		if whole, rest, wrong := Decode(b); wrong == nil && err == nil && len(rest) == 0 && line.String() != term.Format(whole) {
			t.Errorf("got %s, want %s", line.String(), term.Format(whole))
		}
	})
}
