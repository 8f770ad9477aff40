package rpc

import (
	"context"
	_ "embed"
	"fmt"

	"theseus/rpc/term"
)

var (
	//go:embed vitals_count.exprs
	countExprs string
	//go:embed vitals_read.exprs
	readExprs string
	//go:embed mailbox.exprs
	mailboxExprs string
)

// vitalsFilter is the primary filter that counts, for logger.
const vitalsFilter = "theseus_agent"

// Levels are those of logger that are counted, the worst first.
var Levels = []string{"emergency", "alert", "critical", "error", "warning"}

// Vitals are what a node says of its own health.
type Vitals struct {
	Memory int64  // erlang:memory(total), bytes
	Level  string // the primary level of logger: what is below it is not counted

	Counted  bool           // since CountVitals; if not, nothing below is known
	Crashes  int64          // reports of processes that crashed
	Restarts int64          // of children of supervisors, tried ones too
	Logged   map[string]int // events by level, of Levels
}

// CountVitals has the node count what it logs from now on, in a primary filter of logger that lets everything pass.
func (n *Node) CountVitals(ctx context.Context) error {
	answer, err := n.evaluate(ctx, countExprs)
	if t, ok := answer.(term.Tuple); err == nil && (!ok || len(t) != 2 || t[0] != term.Term(term.Atom("ok"))) {
		err = unexpected(answer)
	}
	if err != nil {
		return fmt.Errorf("cannot count what the node logs: %w", err)
	}
	return nil
}

// ForgetVitals ends what CountVitals began.
func (n *Node) ForgetVitals(ctx context.Context) error {
	_, err := n.Call(ctx, "logger", "remove_primary_filter", term.Atom(vitalsFilter))
	return err
}

// Vitals asks for them.
func (n *Node) Vitals(ctx context.Context) (v Vitals, err error) {
	answer, err := n.evaluated(ctx, readExprs)
	if err != nil {
		return v, err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) != 3 {
		return v, unexpected(answer)
	}
	if v.Memory, ok = t[0].(int64); !ok {
		return v, unexpected(answer)
	}
	v.Level = words(t[1])
	v.read(integers(t[2]))
	return v, nil
}

func (v *Vitals) read(counts []int64) {
	if len(counts) != 2+len(Levels) {
		return // nobody counts
	}
	v.Counted, v.Crashes, v.Restarts = true, counts[0], counts[1]
	v.Logged = map[string]int{}
	for i, level := range Levels {
		v.Logged[level] = int(counts[2+i])
	}
}

// Mailbox is the longest mailbox of the node, and whose it is. Every process is looked at.
func (n *Node) Mailbox(ctx context.Context) (length int64, owner string, err error) {
	answer, err := n.evaluated(ctx, mailboxExprs)
	if err != nil {
		return 0, "", err
	}
	t, ok := answer.(term.Tuple)
	if !ok || len(t) != 2 {
		return 0, "", unexpected(answer)
	}
	if length, ok = t[0].(int64); !ok {
		return 0, "", unexpected(answer)
	}
	return length, words(t[1]), nil
}

// evaluated is the second element of a tuple that expressions end with.
func (n *Node) evaluated(ctx context.Context, source string) (term.Term, error) {
	answer, err := n.evaluate(ctx, source)
	if err != nil {
		return nil, err
	}
	if t, ok := answer.(term.Tuple); ok && len(t) == 2 {
		return t[1], nil
	}
	return nil, unexpected(answer)
}

// integers are the elements of a list; one of small ones travels as a string.
func integers(t term.Term) (list []int64) {
	switch t := t.(type) {
	case term.String:
		for _, c := range string(t) {
			list = append(list, int64(c))
		}
	case term.List:
		for _, element := range t {
			if n, ok := element.(int64); ok {
				list = append(list, n)
			}
		}
	}
	return list
}
