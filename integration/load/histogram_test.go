package load

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestQuantileIsExactToOneSixtyFourth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := time.Duration(rapid.Int64Range(0, int64(8*time.Hour)).Draw(t, "ns"))
		var h histogram
		h.add(value)
		h.add(24 * time.Hour) // so that the largest value does not bound the answer
		got := h.quantile(.25)
		if got < value.Truncate(time.Microsecond) || got > value+value/64+time.Microsecond {
			t.Fatalf("quantile %v of the value %v", got, value)
		}
	})
}

func TestQuantilesOfManyValues(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{.5: 500, .99: 990, .999: 999} {
		want *= time.Millisecond
		if got := h.quantile(q); got < want || got > want+want/50 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if h.quantile(1) != time.Second {
		t.Errorf("quantile 1 is %v, want the largest value", h.quantile(1))
	}
}
