package term

import (
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"theseus/integration/need"
)

var sameBig = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func TestParseReadsWhatFileConsultReads(t *testing.T) {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for text, want := range map[string]Term{
		`foo`:                            Atom("foo"),
		`'Foo bar\n'`:                    Atom("Foo bar\n"),
		`'fun'`:                          Atom("fun"),
		`åäö@x_1`:                        Atom("åäö@x_1"),
		`42`:                             int64(42),
		`-1_000`:                         int64(-1000),
		`+7`:                             int64(7),
		`16#ff`:                          int64(255),
		`2#1010`:                         int64(10),
		`36#Zz`:                          int64(35*36 + 35),
		`$a`:                             int64('a'),
		`$\n`:                            int64('\n'),
		`$\s`:                            int64(' '),
		`$\x{1F600}`:                     int64(0x1f600),
		`$\^A`:                           int64(1),
		`9223372036854775807`:            int64(math.MaxInt64),
		`-9223372036854775808`:           int64(math.MinInt64),
		`123456789012345678901234567890`: huge,
		`1.5`:                            1.5,
		`-1.0e-3`:                        -0.001,
		`""`:                             List{},
		`"a\"b\\c\tå"`:                   String("a\"b\\c\tå"),
		`"one " "and " % comment
		 "two"`: String("one and two"),
		`"\101\x42\x{43}"`:             String("ABC"),
		`{}`:                           Tuple{},
		`{a, {b, "c"}}`:                Tuple{Atom("a"), Tuple{Atom("b"), String("c")}},
		`[a, 1 | [b]]`:                 List{Atom("a"), int64(1), Atom("b")},
		`[1 | "ab"]`:                   List{int64(1), int64('a'), int64('b')},
		`[a | b]`:                      Improper{List{Atom("a")}, Atom("b")},
		`[a | []]`:                     List{Atom("a")},
		`[a | [b | []]]`:               List{Atom("a"), Atom("b")},
		`[a | [b, "x" | [c]]]`:         List{Atom("a"), Atom("b"), String("x"), Atom("c")},
		`[a | [b | c]]`:                Improper{List{Atom("a"), Atom("b")}, Atom("c")},
		`#{a => 1, "b" => #{}}`:        Map{{Atom("a"), int64(1)}, {String("b"), Map{}}},
		`<<>>`:                         Binary{},
		`<<"text">>`:                   Binary("text"),
		`<<"å">>`:                      Binary{0xe5},
		`<<"å"/utf8, 0, 255>>`:         Binary("å\x00\xff"),
		`fun logger_filters:domain/2`:  Opaque{Text: "fun logger_filters:domain/2"},
		"%% coding: utf-8\n{a}":        Tuple{Atom("a")},
		"%% coding: latin-1\n\"\xe5\"": String("å"),
		"\xef\xbb\xbfbom":              Atom("bom"),
	} {
		got, err := Parse([]byte(text + ".\n"))
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if diff := cmp.Diff([]Term{want}, got, sameBig); diff != "" {
			t.Errorf("Parse(%q) (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseReadsAnyNumberOfTerms(t *testing.T) {
	got, err := Parse([]byte("% none\na. \"b\".%c\n{d}."))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Term{Atom("a"), String("b"), Tuple{Atom("d")}}, got); diff != "" {
		t.Error(diff)
	}
	if got, err := Parse(nil); len(got) != 0 || err != nil {
		t.Errorf("Parse of nothing = %v, %v", got, err)
	}
}

func TestParseNamesTheLineOfTheError(t *testing.T) {
	for text, want := range map[string]string{
		"a":                                 "line 1: expected a full stop, found the end of the text",
		"{a,\n b.\n":                        `line 2: expected "}", found a full stop`,
		"{f,#Fun<shop.0.1>}.":               `line 1: #Fun<shop.0.1> has no text form: a fun, a process, a port or a reference cannot be read from a file`,
		"{p,<0.1.0>}.":                      `line 1: <0.1.0> has no text form: a fun, a process, a port or a reference cannot be read from a file`,
		"\n\nVar.":                          `line 3: unexpected character 'V'`,
		"\"a\nb":                            `line 1: the quote " is not closed`,
		"a.b.":                              "line 1: a full stop must be followed by white space",
		"case.":                             `line 1: expected a term, found "case"`,
		"[1,2.":                             `line 1: expected "]", found a full stop`,
		"\n<<1:16>>.":                       `line 2: expected ">>", found ":"`,
		"37#1.":                             "line 1: 37 is not a base from 2 to 36",
		"1.0e999.":                          "line 1: 1.0e999 is not a float",
		`"\x{110000}".`:                     "line 1: not a character",
		"a.\n\xff.":                         "line 2: not valid UTF-8",
		strings.Repeat("[", 300):            "line 1: more than 256 levels of nesting",
		strings.Repeat("9", 5000) + ".":     "line 1: an integer of more than 4096 digits",
		strings.Repeat("a", 300) + ".":      "line 1: an atom of more than 255 characters",
		strings.Repeat(" ", maxBytes) + ".": "line 1: the text is longer than 4194304 bytes",
	} {
		_, err := Parse([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%.20q) = %v, want %s", text, err, want)
		}
	}
}

func TestParseLimitsTheNumberOfAtoms(t *testing.T) {
	var b strings.Builder
	for n := range maxAtoms + 1 {
		b.WriteString("a" + big.NewInt(int64(n)).String() + ". ")
	}
	if _, err := Parse([]byte(b.String())); err == nil || !strings.Contains(err.Error(), "different atoms") {
		t.Errorf("got %v", err)
	}
	if _, err := Parse([]byte(strings.Repeat("a. ", maxAtoms+1))); err != nil {
		t.Errorf("one atom many times: %v", err)
	}
}

func TestParseOneNeedsNoFullStop(t *testing.T) {
	for _, text := range []string{"{a, 1}", "{a, 1}."} {
		got, err := ParseOne([]byte(text))
		if diff := cmp.Diff(Term(Tuple{Atom("a"), int64(1)}), got); diff != "" || err != nil {
			t.Errorf("ParseOne(%q): %v %s", text, err, diff)
		}
	}
	for _, text := range []string{"", "a b", "a. b."} {
		if _, err := ParseOne([]byte(text)); err == nil {
			t.Errorf("ParseOne(%q) accepted it", text)
		}
	}
}

func TestFormatMaxCutsWhatIsLonger(t *testing.T) {
	for _, term := range []Term{
		Atom("aaaaaaaaaaaaaaaaaaaaaaaaa"), String("żółwżółwżółwżółwżółw"), Binary(make([]byte, 20)), List(make([]Term, 20)),
		Tuple{Tuple{int64(1234567890), int64(1234567890)}},
		Map{{Key: int64(1234567890), Value: int64(1234567890)}},
		Improper{Elems: List{int64(1234567890), int64(1234567890)}, Tail: Atom("a")},
	} {
		all := Format(term)
		text, whole := FormatMax(term, 10)
		if whole || len(text) > 10 || len(text) < 9 || !strings.HasPrefix(all, text) {
			t.Errorf("%s is cut to %q, %v", all, text, whole)
		}
		if text, whole := FormatMax(term, len(all)); !whole || text != all {
			t.Errorf("%s is cut to %q, %v", all, text, whole)
		}
	}
}

func TestFormatPrintsAsErlangDoes(t *testing.T) {
	for want, in := range map[string]Term{
		`foo`:              Atom("foo"),
		`'Foo'`:            Atom("Foo"),
		`''`:               Atom(""),
		`'a b'`:            Atom("a b"),
		`'it\'s'`:          Atom("it's"),
		`'end'`:            Atom("end"),
		`[]`:               List{},
		`"ab"`:             List{int64('a'), int64('b')},
		`[97,b]`:           List{int64('a'), Atom("b")},
		`[0,1]`:            String("\x00\x01"),
		`{1,"x",[y|z]}`:    Tuple{int64(1), String("x"), Improper{List{Atom("y")}, Atom("z")}},
		`#{a => 1,b => 2}`: Map{{Atom("a"), int64(1)}, {Atom("b"), int64(2)}},
		`<<"ab">>`:         Binary("ab"),
		`<<"å"/utf8>>`:     Binary("å"),
		`<<0,255>>`:        Binary{0, 255},
		`1.0`:              1.0,
		`100.0`:            100.0,
		`1.0e3`:            1000.0,
		`0.0001`:           0.0001,
		`1.2e-4`:           0.00012,
		`0.001`:            0.001,
		`<0.42.0>`:         Opaque{Text: "<0.42.0>"},
	} {
		if got := Format(in); got != want {
			t.Errorf("Format(%#v) = %s, want %s", in, got, want)
		}
	}
}

func TestParseReadsBackWhatFormatWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyTerm(4).Draw(t, "term")
		text := Format(want)
		got, err := ParseOne([]byte(text))
		if err != nil {
			t.Fatalf("cannot read back %s: %v", text, err)
		}
		if diff := cmp.Diff(canonical(want), canonical(got), sameBig); diff != "" {
			t.Fatalf("%s read back (-want +got):\n%s", text, diff)
		}
	})
}

// TestErlangReadsWhatFormatWrites lets file:consult read our text, and the parser read erl's.
func TestErlangReadsWhatFormatWrites(t *testing.T) {
	erl := need.Tool(t, "erl")
	var text strings.Builder
	var want []Term
	gen := anyTerm(4)
	for seed := range 300 {
		term := gen.Example(seed)
		want = append(want, canonical(term))
		text.WriteString(Format(term) + ".\n")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("%% coding: utf-8\n"+text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(erl, "+pc", "unicode", "-noinput", "-eval", `
		{ok, Terms} = file:consult("in"),
		Text = [io_lib:format("~0tp.\n", [T]) || T <- Terms],
		ok = file:write_file("out", unicode:characters_to_binary(Text)), halt(0).`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("erl: %v\n%s", err, out)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i] = canonical(got[i])
	}
	if diff := cmp.Diff(want, got, sameBig); diff != "" {
		t.Errorf("terms after a way through erl (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		terms, err := Parse(text)
		if err != nil {
			return
		}
		for _, term := range terms {
			again, err := ParseOne([]byte(Format(term)))
			if err != nil {
				t.Fatalf("cannot read back %s: %v", Format(term), err)
			}
			if diff := cmp.Diff(canonical(term), canonical(again), sameBig); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// canonical is the same term with every list of characters as a List, maps in one order, and no -0.0,
// which is the same as 0.0 to Erlang before OTP 27.
func canonical(t Term) Term {
	switch t := t.(type) {
	case String:
		out := List{}
		for _, r := range string(t) {
			out = append(out, int64(r))
		}
		return out
	case Tuple:
		return Tuple(canonicals(t))
	case List:
		return List(canonicals(t))
	case Improper:
		return Improper{canonicals(t.Elems), canonical(t.Tail)}
	case Map:
		return canonicalMap(t)
	case float64:
		return t + 0
	}
	return t
}

func canonicals(ts []Term) []Term {
	out := []Term{}
	for _, t := range ts {
		out = append(out, canonical(t))
	}
	return out
}

func canonicalMap(m Map) Map {
	out := Map{}
	byKey := map[string]Pair{}
	keys := []string{}
	for _, p := range m {
		key := Format(p.Key)
		if _, seen := byKey[key]; !seen {
			keys = append(keys, key)
		}
		byKey[key] = Pair{canonical(p.Key), canonical(p.Value)}
	}
	slices.Sort(keys)
	for _, k := range keys {
		out = append(out, byKey[k])
	}
	return out
}

// anyTerm draws terms of at most depth levels, without Opaque.
func anyTerm(depth int) *rapid.Generator[Term] {
	plain := []*rapid.Generator[Term]{
		rapid.Map(rapid.StringOfN(rapid.Rune(), 0, 20, -1), func(s string) Term { return Atom(s) }),
		rapid.Map(rapid.StringMatching(`[a-z][a-zA-Z0-9_@]{0,8}`), func(s string) Term { return Atom(s) }),
		rapid.Map(rapid.Int64(), func(n int64) Term { return n }),
		rapid.Map(rapid.Uint64(), func(n uint64) Term { return integer(new(big.Int).Lsh(new(big.Int).SetUint64(n), 64)) }),
		rapid.Map(rapid.Float64(), func(f float64) Term { return f }),
		rapid.Map(rapid.String(), func(s string) Term { return stringTerm(s) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) Term { return Binary(append([]byte{}, b...)) }),
	}
	if depth == 0 {
		return rapid.OneOf(plain...)
	}
	elems := rapid.SliceOfN(anyTerm(depth-1), 0, 4)
	return rapid.OneOf(append(plain,
		rapid.Map(elems, func(ts []Term) Term { return append(Tuple{}, ts...) }),
		rapid.Map(elems, func(ts []Term) Term { return append(List{}, ts...) }),
		rapid.Map(elems, func(ts []Term) Term { return cons(append(List{Atom("head")}, ts...), Atom("tail")) }),
		rapid.Map(elems, mapOf),
	)...)
}

// mapOf numbers its values, so that no key stands twice.
func mapOf(ts []Term) Term {
	m := Map{}
	for i, t := range ts {
		m = append(m, Pair{Tuple{int64(i)}, t})
	}
	return m
}
