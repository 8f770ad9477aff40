package etf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"theseus/rpc/etf"
	"theseus/rpc/term"
)

func TestMalformedTermsAreErrors(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":                  "",
		"no version":               "a\x01",
		"only the version":         "\x83",
		"an unknown tag":           "\x83\x00",
		"a cut integer":            "\x83b\x00",
		"a cut big integer":        "\x83n\x08\x00\x01",
		"a cut float":              "\x83F\x00",
		"a cut atom":               "\x83w\x05ab",
		"an atom that is no UTF-8": "\x83w\x01\xff",
		"a tuple of four billion":  "\x83i\xff\xff\xff\xff",
		"a list of four billion":   "\x83l\xff\xff\xff\xff",
		"a map of four billion":    "\x83t\xff\xff\xff\xffa\x01",
		"a list without a tail":    "\x83l\x00\x00\x00\x01a\x01",
		"a reference of six words": "\x83Z\x00\x06w\x01a" + strings.Repeat("\x00", 28),
		"a pid of node 1":          "\x83Xa\x01" + strings.Repeat("\x00", 12),
		"an empty bit string":      "\x83M\x00\x00\x00\x00\x01",
		"a fun of no size":         "\x83p\x00\x00\x00\x00",
		"a fun shorter than said":  "\x83p\x00\x00\x01\x00",
		"a nest without bottom":    "\x83" + strings.Repeat("h\x01", 20_000) + "j",
	} {
		if got, _, err := etf.Decode([]byte(b)); !errors.Is(err, etf.ErrMalformed) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestAReplyThatCannotBeReadStillTellsItsReference(t *testing.T) {
	want := etf.Ref{Node: "a@b", Creation: 1, Words: [3]uint32{1, 2, 3}}
	b, err := etf.Append(nil, term.Tuple{want, term.Atom("ok")})
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:len(b)-4], 0) // an unknown tag in place of ok
	got, answer, err := etf.DecodeReply(b)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("error %v, %s", err, d)
	}
	if value, err := answer.Decode(); err == nil {
		t.Errorf("its term is %v", value)
	}
}

func TestDecodeLeavesWhatFollows(t *testing.T) {
	_, rest, err := etf.Decode([]byte("\x83a\x01\x83j"))
	if err != nil || string(rest) != "\x83j" {
		t.Errorf("rest %q, %v", rest, err)
	}
}

func TestATermThatTakesTooMuchMemoryIsAnError(t *testing.T) {
	const many = 1<<20 + 1
	list := func(elements string) string {
		return fmt.Sprintf("\x83l%s%sj", binary.BigEndian.AppendUint32(nil, uint32(many)), strings.Repeat(elements, many))
	}
	number := func(size int) string {
		return fmt.Sprintf("\x83o%s\x00%s", binary.BigEndian.AppendUint32(nil, uint32(size)), strings.Repeat("\xff", size))
	}
	for name, b := range map[string]string{
		"empty lists":       list("j"),
		"tuples":            list("h\x02a\x01a\x02"),
		"atoms":             list("w\x00"),
		"pids":              list("Xw\x01a" + strings.Repeat("\x00", 12)),
		"lists of bytes":    "\x83l\x00\x00\x00\x20" + strings.Repeat("k\xff\xff"+strings.Repeat("\x00", 65535), 32) + "j",
		"a bit string":      "\x83M\x00\x20\x00\x00\x01" + strings.Repeat("x", 2<<20),
		"a number of 4 MiB": number(4 << 20),
		"lists in lists":    "\x83" + strings.Repeat("l\x00\x0f\xff\xff", 100) + strings.Repeat("j", 1<<20),
	} {
		if got, _, err := etf.Decode([]byte(b)); !errors.Is(err, etf.ErrTooLarge) {
			t.Errorf("%s: %T, %v", name, got, err)
		}
	}
	long := []byte(list("j"))
	if made := testing.AllocsPerRun(1, func() { _, _, _ = etf.Decode(long) }); made > 10 {
		t.Errorf("%g allocations until the list is found to be too long", made)
	}
	for name, b := range map[string]string{
		"a binary":            "\x83m\x00\xf0\x00\x00" + strings.Repeat("x", 15<<20),
		"strings":             "\x83l\x00\x00\x00\x20" + strings.Repeat("k\xff\xff"+strings.Repeat("x", 65535), 32) + "j",
		"a number of 100 kiB": number(100 << 10),
	} {
		if _, _, err := etf.Decode([]byte(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// What decodes, encodes, and decodes to the same again.
func FuzzDecode(f *testing.F) {
	seed, err := etf.Append(nil, term.List{
		term.Atom("a"), int64(-5), 1.5, term.String("żółw"), term.Binary("b"),
		term.Tuple{},
		etf.Pid{Node: "a@b", ID: 1},
		term.Improper{Elems: term.List{int64(1)}, Tail: int64(2)},
		term.Map{{Key: term.Tuple{}, Value: term.List{}}},
		etf.Ref{Node: "a@b"},
		etf.Fun("lists", "map", 2),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = etf.Raw(b).Decode()
		_, _, _ = etf.DecodeReply(b)
		before := allocated()
		first, _, err := etf.Decode(b)
		if took := allocated() - before; took > uint64(64<<20+8*len(b)) { // as maxTerms has it
			t.Errorf("%d bytes took %d", len(b), took)
		}
		if err != nil {
			return
		}
		once, err := etf.Append(nil, first)
		if err != nil {
			return // a map with a key twice, a NaN: no node sends them
		}
		second, rest, err := etf.Decode(once)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%x does not decode: %v", once, err)
		}
		if twice, err := etf.Append(nil, second); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x, %v", once, twice, err)
		}
	})
}
