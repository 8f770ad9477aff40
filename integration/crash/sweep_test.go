package crash

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"theseus/integration/need"
)

const (
	sampleOf      = 40 // unless AGENT_TEST_CRASHES says something else
	cells         = 2  // at the same time
	progressEvery = 200
	inARow        = 20 // of the same kind, so that a life can serve more than once
)

// TestTheNextStartBootsACompleteKnownRelease hits each operation at each of its changes. AGENT_TEST_CRASHES is how many
// of the shots are tried, or all; AGENT_TEST_SEED repeats a choice; AGENT_TEST_ONLY is a part of their names.
// AGENT_TEST_OTP has it run in a container of that OTP, as it does where there is none on this machine.
func TestTheNextStartBootsACompleteKnownRelease(t *testing.T) {
	if otp := elsewhere(); otp != "" {
		inContainer(t, otp)
		return
	}
	if lacks := noPower(); lacks != "" && os.Getenv("AGENT_TEST_FS") != "" {
		need.Missing(t, lacks+", to cut the power")
	}
	s := sweep{kit: newKit(t), matrix: matrix{}}
	for _, first := range []func(*cell) error{(*cell).makeGolden, s.measure} {
		if err := inCell(s.kit, first); err != nil {
			t.Fatal(err)
		}
	}
	all := len(s.shots)
	seed := number(t, "AGENT_TEST_SEED", int(time.Now().UnixNano()%1e6))
	s.choose(seed, number(t, "AGENT_TEST_CRASHES", sampleOf))
	if lacks := noPower(); lacks != "" && os.Getenv("CI") == "true" {
		t.Errorf("power cuts need %s", lacks)
	} else if lacks != "" {
		t.Logf("no power cuts: they need %s", lacks)
	}
	t.Logf("%d of %d shots, AGENT_TEST_SEED=%d", len(s.shots), all, seed)
	s.fire(t, s.rows(seed))
	t.Logf("\n%s", s.matrix)
	if s.beyond > len(s.shots)/10 { // how often a start asks its node depends on the machine
		t.Errorf("%d of %d operations had fewer changes than before", s.beyond, len(s.shots))
	}
}

// sweep is the shots at all operations.
type sweep struct {
	*kit
	shots []shot

	mu     sync.Mutex
	matrix matrix
	beyond int
	done   int
}

// measure finds what there is to hit.
func (s *sweep) measure(c *cell) error {
	for _, o := range operations {
		volume, err := c.copyOf(c.golden[o.golden])
		if err != nil {
			return err
		}
		f, err := c.aim(nil, shot{operation: o}, volume)
		if err == nil {
			err = f.fly()
		}
		if err == nil {
			err = f.end()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		for _, ch := range f.changes {
			s.add(o, ch)
		}
		s.addQuestions(o, f.sent)
	}
	return nil
}

func (s *sweep) add(o *operation, ch change) {
	for _, fault := range columns {
		for _, way := range []shot{{}, {after: true}, {lasting: true}} {
			way.operation, way.fault, way.n = o, fault, ch.nth
			if way.sensible(ch) {
				s.offer(way)
			}
		}
	}
}

func (s *sweep) offer(what shot) {
	if strings.Contains(what.String(), os.Getenv("AGENT_TEST_ONLY")) {
		s.shots = append(s.shots, what)
	}
}

// kind is the same for shots that can follow one another: those at the power of one kind are at one and the same operation.
func (s shot) kind() string {
	kind := s.name + " " + s.fault + s.how
	if s.fault == powerCut {
		kind += fmt.Sprint(s.after)
	}
	return kind
}

// choose leaves so many of the shots, those of a kind one after the other. The choice of a seed is nearly the same where an
// operation has some changes more or less.
func (s *sweep) choose(seed, many int) {
	slices.SortFunc(s.shots, func(a, b shot) int { return bytes.Compare(a.lot(seed), b.lot(seed)) })
	s.shots = s.shots[:min(many, len(s.shots))]
	slices.SortStableFunc(s.shots, func(a, b shot) int { return cmp.Or(cmp.Compare(a.kind(), b.kind()), cmp.Compare(a.n, b.n)) })
}

func (s shot) lot(seed int) []byte {
	sum := sha256.Sum256(fmt.Append(nil, seed, s))
	return sum[:]
}

// rows are shots of one kind each, in the order of the lots: what has not been tried when the time is up is a choice too.
func (s *sweep) rows(seed int) [][]shot {
	var rows [][]shot
	for rest := s.shots; len(rest) > 0; {
		n := 1
		for n < len(rest) && n < inARow && rest[n].kind() == rest[0].kind() {
			n++
		}
		rows, rest = append(rows, rest[:n]), rest[n:]
	}
	slices.SortFunc(rows, func(a, b []shot) int { return bytes.Compare(a[0].lot(seed), b[0].lot(seed)) })
	return rows
}

// fire fires, some side by side, until all is done or the test's time is nearly up.
func (s *sweep) fire(t *testing.T, rows [][]shot) {
	queue := make(chan []shot)
	var all sync.WaitGroup
	for range cells {
		all.Go(func() {
			for row := range queue {
				if err := inCell(s.kit, func(c *cell) error { return s.row(t, c, row) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, row := range rows {
		if end, bounded := t.Deadline(); bounded && time.Until(end) < 2*patience {
			t.Error("the time is up")
			break
		}
		queue <- row
	}
	close(queue)
	all.Wait()
}

func (s *sweep) row(t *testing.T, c *cell, row []shot) error {
	note := func(what shot, hit *change, err error) { s.note(t, what, hit, err) }
	if row[0].fault == powerCut {
		return c.cutPower(row, note)
	}
	var l *life
	for _, next := range row {
		var hit *change
		var err error
		l, hit, err = c.shoot(l, next)
		note(next, hit, err)
	}
	if l == nil {
		return nil
	}
	return l.end()
}

func (s *sweep) note(t *testing.T, what shot, hit *change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, errBeyond) {
		s.beyond++
		return
	}
	row := what.name
	if hit != nil && hit.ofState() {
		row = stateWrite
	}
	s.matrix.note(row, what.fault, err == nil)
	if s.done++; s.done%progressEvery == 0 {
		t.Logf("%d of %d shots\n%s", s.done, len(s.shots), s.matrix)
	}
	if err != nil {
		t.Error(err)
	}
}

// number is an environment variable; "all" is more than any.
func number(t *testing.T, name string, fallback int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" || text == "all" {
		return map[string]int{"": fallback, "all": 1 << 30}[text]
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("cannot read %s: %v", name, err)
	}
	return n
}
