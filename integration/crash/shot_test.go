package crash

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Faults. An error comes once, or from its moment on.
const (
	killAgent     = "kill agent" // alone: it is not PID 1
	killNode      = "kill node"
	killContainer = "kill container" // the agent is PID 1
	powerCut      = "power cut"
	rpcFault      = "RPC"
)

var errnos = map[string]unix.Errno{"EIO": unix.EIO, "ENOSPC": unix.ENOSPC, "EROFS": unix.EROFS}

// shot is what happens to an operation, and at which of its changes.
type shot struct {
	*operation
	fault   string
	n       int
	after   bool   // the change was done
	lasting bool   // of an error
	how     string // of a question to the node
	reply   bool   // the node has answered
}

func (s shot) String() string {
	when := map[bool]string{false: "before", true: "after"}[s.after]
	if s.lasting {
		when = "from"
	}
	if s.reply {
		when = "before the reply to"
	}
	if s.fault == rpcFault {
		return fmt.Sprintf("%s, %s %s question %d", s.name, s.how, when, s.n)
	}
	return fmt.Sprintf("%s, %s %s change %d", s.name, s.fault, when, s.n)
}

func (s shot) errno() unix.Errno { return errnos[s.fault] }

// flight is one shot at one life.
type flight struct {
	*life
	shot
	count   int
	chosen  func(*change) bool // instead of the number
	hit     *change
	struck  bool // it has been
	changes []change
	told    string // the kind of the last event
	tried   bool   // the new release has run
	answer  answer
	asked   bool

	observe, observed func(*change) // before and behind each change

	sockets map[string]bool // whether they lead to the node
	sent    []string        // what was told before each question to the node
	socket  int             // of the one that is interrupted
	sender  *call
}

// aim prepares a life for a shot: the one that is there, or a new one on a volume.
func (c *cell) aim(l *life, s shot, volume string) (*flight, error) {
	if l == nil {
		var err error
		if l, err = c.born(volume, s.fault == killAgent, s.environment()...); err != nil {
			return nil, err
		}
		if s.asks != nil {
			if err := l.boots(); err != nil {
				return nil, err
			}
		}
	}
	f := &flight{life: l, shot: s, sockets: map[string]bool{}}
	l.enter, l.leave = f.entered, f.left
	l.step(true)
	return f, nil
}

// fly has the operation happen.
func (f *flight) fly() error {
	defer f.step(false)
	if f.asks == nil {
		if err := f.enters(); err != nil {
			return err
		}
		return f.tracer.run(func() bool { return f.ready.Load() || f.over() })
	}
	c, err := f.ask(f.asks(f.cell.kit)...)
	if err != nil {
		return err
	}
	f.answer, err = f.finish(c)
	f.asked = true
	return err
}

func (f *flight) entered(c *call) {
	if c.number == unix.SYS_WRITE && c.args[0] == 2 {
		if kind := lastEvent(f.bytes(c.args[1], c.args[2])); kind != "" {
			f.told = kind
			f.tried = f.tried || kind == "node.installed"
		}
	}
	f.question(c)
	c.about = f.changeOf(c, f.volume)
	if c.about == nil {
		return
	}
	f.count++
	c.about.nth, c.about.step = f.count, f.told
	f.changes = append(f.changes, *c.about)
	if f.observe != nil {
		f.observe(c.about)
	}
	if f.hit == nil && f.isIt(c.about) {
		f.hit = c.about
		if !f.after {
			f.strike(c)
		}
	} else if f.hit != nil && f.lasting {
		f.fail(c)
	}
}

func (f *flight) isIt(ch *change) bool {
	if f.chosen != nil {
		return f.chosen(ch)
	}
	return ch.nth == f.n && f.fault != powerCut && f.fault != rpcFault
}

func (f *flight) left(c *call) {
	if f.observed != nil && c.about != nil && c.value >= 0 {
		f.observed(c.about)
	}
	f.answered(c)
	if f.after && c.about != nil && c.about == f.hit {
		f.strike(c)
	}
}

func (f *flight) strike(c *call) {
	f.struck = true
	switch f.fault {
	case killAgent, killContainer:
		if !f.after {
			_ = refuse(c.tid)
		}
		_ = unix.Kill(f.agent, unix.SIGKILL)
	case killNode:
		if node := f.node(); node != 0 {
			_ = unix.Kill(node, unix.SIGKILL)
		}
	default:
		f.fail(c)
	}
}

// fail has a call fail. A close fails in another way: the file is closed.
func (f *flight) fail(c *call) {
	if !f.after && c.about.op != "close" {
		_ = refuse(c.tid)
	}
	value := -int64(f.errno())
	c.answer = &value
}

// sensible says that such a fault can be: an open that fails has opened nothing, a close that fails has closed.
// There is a node while nobody asks, and in a start from its launch on.
func (s shot) sensible(ch change) bool {
	switch {
	case s.fault == killNode:
		return !s.lasting && (s.asks != nil || ch.step == "node.launched")
	case s.fault == powerCut:
		return !s.lasting && noPower() == ""
	case s.fault == rpcFault:
		return false
	case s.errno() == 0:
		return !s.lasting
	}
	switch ch.op {
	case "open":
		return !s.after
	case "close":
		return s.after || s.lasting
	}
	return true
}

var errBeyond = errors.New("the operation has fewer changes")

// shoot shoots, and judges what becomes of it. The life that it returns can be shot at once more.
func (c *cell) shoot(l *life, s shot) (next *life, hit *change, err error) {
	var volume string
	if l == nil {
		if volume, err = c.copyOf(c.golden[s.golden]); err != nil {
			return nil, nil, err
		}
	}
	f, err := c.aim(l, s, volume)
	if err != nil {
		return nil, nil, err
	}
	if err = f.fly(); err == nil && !f.struck { // the last change may be under way still when all is over
		err = errBeyond
	}
	if err == nil {
		next, err = f.judge()
	}
	if err == nil && next != nil {
		return next, f.hit, nil
	}
	told := f.text()
	for _, l := range []*life{f.life, next} {
		if l != nil {
			told = l.text()
			err = errors.Join(err, l.end())
		}
	}
	os.RemoveAll(f.volume)
	if err != nil && !errors.Is(err, errBeyond) {
		err = fmt.Errorf("%v (%v, after %s): %w\nthe client: %+v\n%s", s, f.hit, f.told, err, f.answer, told)
	}
	return nil, f.hit, err
}

// names of errors, as users read them.
func (f *flight) saysWhy(text string) error {
	if !strings.Contains(text, f.errno().Error()) {
		return fmt.Errorf("the error is not told: %q", text)
	}
	return nil
}
