package crash

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// judge looks at what a shot has done. A life that is returned without an error goes on from where the operation began.
func (f *flight) judge() (*life, error) {
	switch f.fault {
	case killAgent, killContainer:
		return f.judgeKill()
	case killNode, rpcFault:
		return f.judgeNode()
	}
	return f.judgeError()
}

// judgeKill: what the volume says at the moment of the end is what boots next.
func (f *flight) judgeKill() (*life, error) {
	if err := f.tracer.run(f.over); err != nil {
		return nil, err
	}
	if f.fault == killContainer {
		if err := f.end(); err != nil {
			return nil, err
		}
	}
	return f.recover()
}

// recover starts the agent again, on what is left.
func (f *flight) recover() (*life, error) {
	before, err := readRecord(f.volume)
	if err != nil {
		return nil, err
	}
	if err := f.oldOrNew(before.Current); err != nil {
		return nil, err
	}
	l := f.life
	if l.beside && f.fault == killAgent {
		err = l.reborn()
	} else if l, err = f.cell.born(f.volume, f.beside, f.env...); err != nil {
		return nil, err
	}
	if err == nil {
		err = l.boots()
	}
	if err == nil {
		err = f.recovered(l, before)
	}
	if err != nil {
		return l, err
	}
	return f.again(l)
}

// oldOrNew: before the commit the old release is what boots, behind it the new one; who was told of a success can rely on it.
func (f *flight) oldOrNew(current string) error {
	switch {
	case current != f.from && current != f.to:
		return fmt.Errorf("%q boots, neither %q nor %q", current, f.from, f.to)
	case f.from != "" && f.from != f.to && current == f.to && !f.tried:
		return fmt.Errorf("%q boots, and has not run yet", current)
	case f.asked && f.answer.status == 0 && current != f.to:
		return fmt.Errorf("the client was told of a success, and %q boots", current)
	case f.asked && f.answer.status > 1 && current != f.from:
		return fmt.Errorf("the client was told of exit status %d, and %q boots", f.answer.status, current)
	}
	return nil
}

// recovered holds a life after a crash against the record of before.
func (f *flight) recovered(l *life, before record) error {
	runs, err := l.runs()
	if err != nil {
		return err
	}
	if before.Current != "" && runs != before.Current || before.Current == "" && runs != f.to {
		return fmt.Errorf("%q boots, and %q was recorded", runs, before.Current)
	}
	after, err := readRecord(l.volume)
	if err != nil {
		return err
	}
	if err := before.keeps(after, f.removes); err != nil {
		return err
	}
	if err := l.settled(); err != nil {
		return err
	}
	return nil
}

// again keeps a life that is where the operation began, so that it can be hit at once. One in seven of the others has to
// upgrade once more first.
func (f *flight) again(l *life) (*life, error) {
	r, err := readRecord(l.volume)
	if err != nil {
		return l, err
	}
	golden, err := readRecord(f.cell.golden[f.golden])
	if err != nil {
		return l, err
	}
	if f.begins(r, golden) {
		return l, nil
	}
	next := map[string]string{"1.0.0": "1.1.0", "1.1.0": "1.2.0"}[r.Current]
	if f.n%7 == 0 && next != "" {
		if _, err := l.must("upgrade", f.cell.pkg(next)); err != nil {
			return l, fmt.Errorf("the next upgrade: %w", err)
		}
		if err := l.settled(); err != nil {
			return l, fmt.Errorf("the next upgrade: %w", err)
		}
	}
	return nil, l.end()
}

// judgeNode: the agent takes the node's end as its policy has it, and ends, or boots the release that is permanent.
func (f *flight) judgeNode() (*life, error) {
	if err := f.settles(); err != nil {
		return f.life, err
	}
	if f.over() {
		if err := f.end(); err != nil {
			return nil, err
		}
		return f.recover()
	}
	before, err := readRecord(f.volume)
	if err == nil {
		err = f.oldOrNew(before.Current)
	}
	if err != nil {
		return f.life, err
	}
	if err = f.recovered(f.life, before); err != nil && f.leavesMore() {
		if err := f.end(); err != nil {
			return nil, err
		}
		return f.recover()
	} else if err != nil {
		return f.life, err
	}
	return f.again(f.life)
}

// settles waits until the node is well or the agent has ended.
func (f *flight) settles() error {
	for deadline := time.Now().Add(patience); !f.over(); {
		if time.Now().After(deadline) {
			return errPatience
		}
		c, err := f.ask("health")
		if errors.Is(err, unix.ENOMEM) { // no process can be started in a PID namespace that has ended
			return f.tracer.run(f.over)
		}
		if err != nil {
			return err
		}
		a, err := f.finish(c)
		if err != nil || a.status == 0 {
			return err
		}
	}
	return nil
}

// judgeError: the operation ends with an error that says why, or needed what failed for nothing; what runs, runs on.
func (f *flight) judgeError() (*life, error) {
	if f.over() {
		return f.judgeStart()
	}
	if strings.Contains(f.answer.stderr, "cannot take it back, the next start may find it") && f.lasting {
		return f.judgeNext() // until then there are two states, one believed and one on the disk, as was told
	}
	before, err := readRecord(f.volume)
	if err == nil && f.asked {
		err = f.oldOrNew(before.Current)
	}
	if err == nil && f.asked && f.answer.status != 0 {
		err = f.saysWhy(f.answer.stderr)
	}
	if err == nil {
		_, err = f.runs()
	}
	if err != nil {
		return f.life, err
	}
	switch {
	case f.asks == nil: // what it could not do is left to the next start
		if err := f.end(); err != nil {
			return nil, err
		}
		return f.recover()
	case f.lasting:
		return f.judgeNext()
	}
	if err := f.settled(); err != nil {
		if !f.leavesMore() {
			return f.life, err
		}
		if err := f.end(); err != nil {
			return nil, err
		}
		return f.recover()
	}
	return f.again(f.life)
}

// leavesMore says that the client was told that something is left to the next start: a removal that got stuck in the
// middle, or what follows a commit.
func (f *flight) leavesMore() bool {
	noRoom := f.settled(".agent/ballast") == nil // which was given for a record of the state
	return noRoom || f.from == f.to && f.answer.status == 1 || strings.Contains(f.answer.stderr, "\nwarned ")
}

// judgeStart: an agent that could not start says why, and the next one can.
func (f *flight) judgeStart() (*life, error) {
	if f.asked {
		return f.life, fmt.Errorf("the agent has ended")
	}
	if err := f.saysWhy(f.text()); err != nil {
		return f.life, err
	}
	if err := f.end(); err != nil {
		return nil, err
	}
	return f.recover()
}

// judgeNext: when the disk is well again, so is the same agent.
func (f *flight) judgeNext() (*life, error) {
	if f.answer.status == 0 { // debris is the next start's
		if err := f.end(); err != nil {
			return nil, err
		}
		return f.recover()
	}
	c, err := f.ask(f.asks(f.cell.kit)...)
	if err != nil {
		return f.life, err
	}
	a, err := f.finish(c)
	if gone := f.from == f.to && a.status == 3; err == nil && a.status != 0 && !gone { // what is removed already cannot be
		err = fmt.Errorf("exit status %d: %s", a.status, a.stderr)
	}
	if err != nil {
		return f.life, fmt.Errorf("the next attempt: %w", err)
	}
	runs, err := f.runs()
	if err == nil && runs != f.to {
		err = fmt.Errorf("%q runs after the next attempt", runs)
	}
	if err == nil {
		err = f.settled(".agent/ballast")
	}
	if err != nil {
		return f.life, err
	}
	return nil, f.end()
}
