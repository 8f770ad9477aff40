package gate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"theseus/agent/printable"
	"theseus/rpc"
)

// Vitals is how a node was when an installation began.
type Vitals struct {
	rpc.Vitals
	Mailbox int64
	begun   time.Time

	mu     sync.Mutex
	logged map[string][]sample // what was seen since, by the gate's level
}

// sample is a number of events at a time.
type sample struct {
	at time.Time
	n  int
}

// Counts says that some gate compares with the moment of the installation: then that has to Begin.
func (s Set) Counts() bool { return slices.ContainsFunc(s.Gates, Gate.Counts) }

// Begin has the node count what it logs from now on, until ForgetVitals, and notes how it is.
func Begin(ctx context.Context, node Node) (*Vitals, error) {
	err := node.CountVitals(ctx)
	if err != nil {
		return nil, err
	}
	since := &Vitals{begun: time.Now(), logged: map[string][]sample{}}
	if since.Vitals, err = node.Vitals(ctx); err != nil {
		return nil, err
	}
	since.Mailbox, _, err = node.Mailbox(ctx)
	return since, err
}

var errNotBegun = errors.New("nobody noted how the node was before")

// compared asks the node how it is now.
func compared(ctx context.Context, about *Subject, judge func(since *Vitals, now rpc.Vitals) error) error {
	if about.Since == nil {
		return errNotBegun
	}
	node, err := about.Node(ctx)
	if err != nil {
		return err
	}
	now, err := node.Vitals(ctx)
	if err != nil {
		return err
	}
	return judge(about.Since, now)
}

// counted is compared for what the node counts.
func counted(ctx context.Context, about *Subject, judge func(now rpc.Vitals) error) error {
	return compared(ctx, about, func(_ *Vitals, now rpc.Vitals) error {
		switch {
		case !now.Counted:
			return errors.New("the node does not count any more what it logs: its filter was taken away")
		case slices.Contains([]string{"none", "emergency", "alert", "critical"}, now.Level):
			return fmt.Errorf("the node logs no errors, so that none can be counted: its primary level is %s", now.Level)
		}
		return judge(now)
	})
}

// crashesKind counts the reports of processes that crashed.
type crashesKind struct {
	Most int64 `toml:"most"`
}

func (k *crashesKind) gate(Source) (ask, error) {
	return atMost(k.Most, "processes have crashed since the installation", func(now rpc.Vitals) int64 { return now.Crashes })
}

// restartsKind counts what supervisors restarted.
type restartsKind struct {
	Most int64 `toml:"most"`
}

func (k *restartsKind) gate(Source) (ask, error) {
	return atMost(k.Most, "children of supervisors have ended since the installation", func(now rpc.Vitals) int64 { return now.Restarts })
}

// atMost limits one of the numbers that the node counts.
func atMost(most int64, what string, of func(now rpc.Vitals) int64) (ask, error) {
	return func(ctx context.Context, about *Subject) error {
		return counted(ctx, about, func(now rpc.Vitals) error {
			if n := of(now); n > most {
				return fmt.Errorf("%d %s, more than %d", n, what, most)
			}
			return nil
		})
	}, notNegative(most)
}

func notNegative(most int64) error {
	if most < 0 {
		return fmt.Errorf("cannot use most=%d: it is below 0", most)
	}
	return nil
}

// memoryKind limits how much the node's memory grows.
type memoryKind struct {
	Most string `toml:"most"` // bytes with K, M or G, or per cent
}

var sizeForm = regexp.MustCompile(`^([0-9]{1,12})([KMG%]?)$`)

// allowed is how many bytes more there may be than before.
func (k *memoryKind) allowed(before int64) (int64, error) {
	parts := sizeForm.FindStringSubmatch(k.Most)
	if parts == nil {
		return 0, fmt.Errorf("cannot use most=%q: it is neither bytes, such as 64M, nor per cent, such as 20%%", k.Most)
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64)
	switch parts[2] {
	case "%":
		return int64(float64(before) / 100 * float64(n)), nil
	case "":
		return n, nil
	}
	return n << (10 * (1 + strings.Index("KMG", parts[2]))), nil
}

func (k *memoryKind) gate(Source) (ask, error) {
	_, err := k.allowed(0)
	return func(ctx context.Context, about *Subject) error {
		return compared(ctx, about, func(since *Vitals, now rpc.Vitals) error {
			most, _ := k.allowed(since.Memory)
			if grown := now.Memory - since.Memory; grown > most {
				return fmt.Errorf("the node's memory has grown from %s to %s, by more than %s", megabytes(since.Memory), megabytes(now.Memory), k.Most)
			}
			return nil
		})
	}, err
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// mailboxKind limits how much longer the longest mailbox gets.
type mailboxKind struct {
	Most int64 `toml:"most"`
}

func (k *mailboxKind) gate(Source) (ask, error) {
	return func(ctx context.Context, about *Subject) error {
		if about.Since == nil {
			return errNotBegun
		}
		node, err := about.Node(ctx)
		if err != nil {
			return err
		}
		length, owner, err := node.Mailbox(ctx)
		if err != nil {
			return err
		}
		if length > about.Since.Mailbox+k.Most {
			return fmt.Errorf("%d messages wait for %s; before the installation the longest mailbox had %d", length, printable.Line(owner), about.Since.Mailbox)
		}
		return nil
	}, notNegative(k.Most)
}

// logsKind limits how often the node logs something of a level, or worse.
type logsKind struct {
	Level  string   `toml:"level"`
	Most   int      `toml:"most"`
	Within duration `toml:"within"` // 0: a minute
}

func (k *logsKind) gate(Source) (ask, error) {
	if !slices.Contains(rpc.Levels, k.Level) {
		return nil, fmt.Errorf("cannot use level=%q: it is none of %s", k.Level, strings.Join(rpc.Levels, ", "))
	}
	within := time.Duration(k.Within)
	if within == 0 {
		within = time.Minute
	}
	return func(ctx context.Context, about *Subject) error {
		return counted(ctx, about, func(now rpc.Vitals) error {
			if n := about.Since.lately(k.Level, now, within); n > k.Most {
				return fmt.Errorf("%d events of level %s or worse within %s, more than %d", n, k.Level, within, k.Most)
			}
			return nil
		})
	}, notNegative(int64(k.Most))
}

// lately is how many events of a level, or worse, were logged within a time: since the last time that somebody asked before it,
// or since the installation.
func (v *Vitals) lately(level string, now rpc.Vitals, within time.Duration) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	key := level + " " + within.String()
	last := sample{at: time.Now()}
	for _, worse := range rpc.Levels[:1+slices.Index(rpc.Levels, level)] {
		last.n += now.Logged[worse]
	}
	seen := v.logged[key]
	if seen == nil {
		seen = []sample{{at: v.begun}}
	}
	for len(seen) > 1 && last.at.Sub(seen[1].at) >= within { // the first is the last one before that
		seen = seen[1:]
	}
	v.logged[key] = append(seen, last)
	return last.n - seen[0].n
}
