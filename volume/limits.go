package volume

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Limits are what one package may ask for.
type Limits struct {
	PackageBytes  int64 // of the package itself
	UnpackedBytes int64 // of its tar archive
	Entries       int   // files, links, and directories, also those that no entry names
	Depth         int   // components of a name
	NameBytes     int   // of a whole name: below the root it must still be one that the kernel takes (PATH_MAX)
	NamesBytes    int64 // of all names and the targets of links together, which are held in memory
	Ratio         int64 // unpacked bytes for each of the package's, once there are freeRatioBytes of them
	TextBytes     int64 // of a .rel, an .app, a relup, a vm.args or a sys.config
}

// DefaultLimits are far beyond what releases need: a big one has 400 MB, 20,000 files, 12 levels and a ratio
// of 10.
var DefaultLimits = Limits{
	PackageBytes:  4 << 30,
	UnpackedBytes: 16 << 30,
	Entries:       200_000,
	Depth:         32,
	NameBytes:     1024,
	NamesBytes:    32 << 20,
	Ratio:         100,
	TextBytes:     4 << 20,
}

// unlimited is for a package that was accepted before, whose content its MANIFEST proves.
var unlimited = Limits{
	PackageBytes: math.MaxInt64, UnpackedBytes: math.MaxInt64, Entries: math.MaxInt, Depth: math.MaxInt, NameBytes: math.MaxInt,
	NamesBytes: math.MaxInt64, Ratio: math.MaxInt64, TextBytes: math.MaxInt64 >> 1,
}

// freeRatioBytes may be unpacked at any ratio: small files of zeros are no bomb.
const freeRatioBytes = 64 << 20

// TooLarge is the refusal of a package that has more than PackageBytes.
func (l Limits) TooLarge() *PackageError {
	return refuse(TooLarge, "the package is larger than %d bytes", l.PackageBytes)
}

func (l Limits) unpacksTooLarge() error {
	return refuse(TooLarge, "the package unpacks to more than %d bytes", l.UnpackedBytes)
}

// limitNames are the words of ParseLimits.
func (l *Limits) limitNames() map[string]func(int64) {
	count := func(field *int) func(int64) { return func(n int64) { *field = int(n) } }
	bytes := func(field *int64) func(int64) { return func(n int64) { *field = n } }
	return map[string]func(int64){
		"package": bytes(&l.PackageBytes), "unpacked": bytes(&l.UnpackedBytes), "files": count(&l.Entries), "depth": count(&l.Depth),
		"name": count(&l.NameBytes), "names": bytes(&l.NamesBytes), "ratio": bytes(&l.Ratio), "text": bytes(&l.TextBytes),
	}
}

// ParseLimits reads what differs from DefaultLimits: "unpacked=64G,files=500000". The letters K, M and G stand for powers
// of 1024.
func ParseLimits(text string) (Limits, error) {
	limits := DefaultLimits
	names := limits.limitNames()
	for field := range strings.SplitSeq(text, ",") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		set, known := names[name]
		if !known {
			return limits, fmt.Errorf("there is no limit %q", name)
		}
		n, err := parseSize(value)
		if err != nil {
			return limits, fmt.Errorf("%q is no number above 0, such as 512M", value)
		}
		set(n)
	}
	return limits, nil
}

func parseSize(text string) (int64, error) {
	shift := 0
	for i, letter := range []string{"K", "M", "G"} {
		if number, has := strings.CutSuffix(text, letter); has {
			shift, text = 10*(i+1), number
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < 1 || n > math.MaxInt64>>(shift+8)) {
		err = strconv.ErrRange
	}
	return n << shift, err
}
