package volume

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLimitsAreReadFromWords(t *testing.T) {
	want := DefaultLimits
	want.UnpackedBytes, want.Entries, want.TextBytes = 64<<30, 500_000, 1<<10
	got, err := ParseLimits(" unpacked=64G,files=500000, text=1K,")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := ParseLimits(""); got != DefaultLimits || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, wrong := range []string{"file=1", "files", "files=", "files=0", "files=-1", "files=x", "package=9223372036G", "files=1T", "=1"} {
		if got, err := ParseLimits(wrong); err == nil {
			t.Errorf("%q is read as %+v", wrong, got)
		}
	}
}
