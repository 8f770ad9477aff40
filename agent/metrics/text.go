// Package metrics tells a monitoring how the agent and its node are: in the text format of Prometheus, and by two probes. What
// is counted comes from the events of the agent (counters.go); all else is looked up when it is asked for.
package metrics

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Kind is what a family's values mean.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	histogram Kind = "histogram"
)

// Family is a metric with all of its values.
type Family struct {
	Name, Help string
	Kind       Kind
	Samples    []Sample
}

// Sample is one value.
type Sample struct {
	Labels Labels
	Value  float64
	suffix string // of a histogram: _bucket, _sum, _count
}

// Labels are pairs of a name and a value, which may be any text.
type Labels []string

// One is a family of one value without labels.
func One(kind Kind, name, help string, value float64) Family {
	return Family{Name: name, Help: help, Kind: kind, Samples: []Sample{{Value: value}}}
}

// ContentType is that of Write.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Write writes families as Prometheus reads them (its "text-based format", version 0.0.4). Names are ours, label values anybody's.
func Write(w io.Writer, families []Family) error {
	var b strings.Builder
	for _, f := range families {
		if len(f.Samples) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.Name, f.Help, f.Name, f.Kind)
		for _, s := range f.Samples {
			fmt.Fprintf(&b, "%s%s%s %s\n", f.Name, s.suffix, s.Labels, number(s.Value))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (l Labels) String() string {
	if len(l) == 0 {
		return ""
	}
	pairs := make([]string, 0, len(l)/2)
	for i := 0; i+1 < len(l); i += 2 {
		pairs = append(pairs, l[i]+`="`+escaped.Replace(strings.ToValidUTF8(l[i+1], "�"))+`"`)
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// bounds of the buckets, seconds: a step of an upgrade takes milliseconds, and one that waits for people hours.
var bounds = []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 3600}

// distribution counts how often something took how long.
type distribution struct {
	buckets [11]float64 // one for each bound, and what is beyond
	sum     float64
}

func (d *distribution) add(seconds float64) {
	i := 0
	for i < len(bounds) && seconds > bounds[i] {
		i++
	}
	d.buckets[i]++
	d.sum += seconds
}

// samples are cumulative.
func (d *distribution) samples(l Labels) []Sample {
	var list []Sample
	count := 0.0
	for i, n := range d.buckets {
		count += n
		le := math.Inf(1)
		if i < len(bounds) {
			le = bounds[i]
		}
		list = append(list, Sample{append(l[:len(l):len(l)], "le", number(le)), count, "_bucket"})
	}
	return append(list, Sample{l, d.sum, "_sum"}, Sample{l, count, "_count"})
}
