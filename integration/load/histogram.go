package load

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that grow with their value, so that any quantile is exact to
// 1/64 from a microsecond to hours, in a fixed 15 KB.
type histogram struct {
	counts [subBuckets * 30]int64
	total  int64
	max    time.Duration
}

const (
	subBits    = 6
	subBuckets = 1 << subBits
)

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile returns the least upper bound of a bucket below which the share q of all values lies.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q * float64(h.total))
	var seen int64
	for i, n := range h.counts {
		seen += n
		if seen > rank {
			return min(bucketEnd(i), h.max)
		}
	}
	return h.max
}

// bucket keeps the six bits after the leading one of the duration in microseconds.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - subBits
	index := (shift+1)<<subBits | int(us>>shift)&(subBuckets-1)
	return min(index, subBuckets*30-1)
}

func bucketEnd(index int) time.Duration {
	if index < subBuckets {
		return time.Duration(index) * time.Microsecond
	}
	shift := index>>subBits - 1
	mantissa := index&(subBuckets-1) | subBuckets
	return time.Duration((mantissa+1)<<shift-1) * time.Microsecond
}
