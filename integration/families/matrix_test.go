package families_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"theseus/integration/families"
	"theseus/integration/images"
	"theseus/integration/ship"
)

// every is all that the matrix has for rows.
func every() []families.Family { return append(families.All(), families.Mix()...) }

func family(name string) families.Family {
	all := every()
	return all[slices.IndexFunc(all, func(f families.Family) bool { return f.Name == name })]
}

// sampled is how many families a run with a seed has, each on one OTP.
const sampled = 2

// TestEveryFamilyOfReleasesLivesUnderTheAgent prints the matrix at its end, with -v.
func TestEveryFamilyOfReleasesLivesUnderTheAgent(t *testing.T) {
	m := &matrix{rows: map[string][]string{}}
	t.Cleanup(func() { t.Log("\n" + m.String()) })
	for _, f := range ship.Drawn(t.Name(), sampled, every()) {
		t.Run(f.Name, func(t *testing.T) {
			ship.OnEachOTP(t, func(t *testing.T, set *images.Set) {
				name := f.Name + ", OTP " + set.OTP
				if why, not := f.Not[set.OTP]; not {
					m.without(name, why)
					return
				}
				walked := 0
				defer func() { m.with(name, walked) }()
				l := conceive(t, set, f)
				for _, s := range steps {
					s.do(l)
					walked++
				}
			})
		})
	}
}

// matrix has a row for each family and OTP, with a cell for each step.
type matrix struct {
	sync.Mutex
	rows   map[string][]string
	legend []string
}

// with is a row of which so many steps went well.
func (m *matrix) with(name string, walked int) {
	m.Lock()
	defer m.Unlock()
	for i := range steps {
		cell := "ok"
		switch {
		case i == walked:
			cell = "FAILED"
		case i > walked:
			cell = "not reached"
		}
		m.rows[name] = append(m.rows[name], cell)
	}
}

// without is a row that cannot be, and its reason.
func (m *matrix) without(name, why string) {
	m.Lock()
	defer m.Unlock()
	if !slices.Contains(m.legend, why) {
		m.legend = append(m.legend, why)
	}
	note := fmt.Sprintf("(%d)", slices.Index(m.legend, why)+1)
	m.rows[name] = slices.Repeat([]string{note}, len(steps))
}

func (m *matrix) String() string {
	m.Lock()
	defer m.Unlock()
	var text strings.Builder
	t := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "family")
	for _, s := range steps {
		fmt.Fprint(t, "\t", s.name)
	}
	fmt.Fprintln(t)
	for _, f := range every() {
		for _, otp := range []string{"25", "27", "29"} {
			name := f.Name + ", OTP " + otp
			if cells, there := m.rows[name]; there {
				fmt.Fprintln(t, name+"\t"+strings.Join(cells, "\t"))
			}
		}
	}
	_ = t.Flush()
	for i, why := range m.legend {
		fmt.Fprintf(&text, "(%d) %s\n", i+1, why)
	}
	return text.String()
}
