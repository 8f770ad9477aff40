package heart

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFramesAreReadAsPacket2HasThem(t *testing.T) {
	long := strings.Repeat("x", 65534)
	for about, c := range map[string]struct {
		bytes string
		op    byte
		text  string
	}{
		"a beat":                          {"\x00\x01\x02", opBeat, ""},
		"a command":                       {"\x00\x05\x04boot", opSetCommand, "boot"},
		"nothing":                         {"\x00\x00", 0, ""},
		"an operation that there is not":  {"\x00\x01\xff", 255, ""},
		"a command as long as it may be":  {"\x08\x01\x04" + long[:maxText], opSetCommand, long[:maxText]},
		"one that is too long by one":     {"\x08\x02\x04" + long[:maxText+1], opSetCommand, long[:maxText]},
		"one that is as long as a frame":  {"\xff\xff\x04" + long, opSetCommand, long[:maxText]},
		"a command with any bytes in it":  {"\x00\x04\x04\x00\xff\n", opSetCommand, "\x00\xff\n"},
		"a crash that is being prepared":  {"\x00\x01\x08", opPreparingCrash, ""},
		"a shutdown, with text behind it": {"\x00\x02\x03x", opShutDown, "x"},
	} {
		in := bufio.NewReaderSize(strings.NewReader(c.bytes+"\x00\x01\x02"), 16)
		op, text, err := readFrame(in)
		if err != nil || op != c.op || string(text) != c.text {
			t.Errorf("%s: operation %d, %d bytes of text, %v", about, op, len(text), err)
		}
		if op, _, err := readFrame(in); op != opBeat || err != nil {
			t.Errorf("%s: what follows is operation %d, %v", about, op, err)
		}
	}
}

func TestAFrameThatIsCutOffIsTheEnd(t *testing.T) {
	for _, bytes := range []string{"", "\x00", "\x00\x02\x04", "\xff\xff\x04" + strings.Repeat("x", 4000)} {
		if _, _, err := readFrame(bufio.NewReader(strings.NewReader(bytes))); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%.5q: %v", bytes, err)
		}
	}
}

// FuzzFrames: whatever comes, frames end where their length says, and what is kept of them is bounded.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x00\x05\x04boot"))
	f.Add([]byte("\x00\x00\xff\xff\x04"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(stream), 16)
		for at := 0; ; {
			op, text, err := readFrame(in)
			if err != nil {
				return
			}
			size := int(stream[at])<<8 + int(stream[at+1])
			if kept := min(max(0, size-1), maxText); len(text) != kept || size > 0 && op != stream[at+2] {
				t.Fatalf("at %d: operation %d with %d bytes", at, op, len(text))
			}
			if again := frame(op, string(text)); size > 0 && size <= 1+maxText && !bytes.Equal(again, stream[at:at+2+size]) {
				t.Fatalf("at %d: written again it is %q", at, again)
			}
			at += 2 + size
		}
	})
}
