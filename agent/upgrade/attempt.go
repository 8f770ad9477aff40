package upgrade

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"theseus/agent/api"
	"theseus/agent/gate"
	"theseus/agent/relup"
	"theseus/volume"
)

// kindUnpack is an attempt that installs nothing.
const kindUnpack = "unpack"

// attempt is one upgrade or rollback, from its request to its result.
type attempt struct {
	*Engine
	id, kind string
	started  time.Time
	settle   time.Duration
	settled  bool          // the request says how long
	within   time.Duration // for a person to commit it; 0: it does so by itself
	label    string        // what the user called the package or the release
	on       func(api.Event)

	decided chan decision // has room for the one that there is
	rests   chan struct{} // closed when it waits for that
	over    chan struct{} // closed when all is done
	heeds   bool          // whether somebody may decide; the engine's lock guards it
	ended   bool          // whether that is told or about to be; the same

	mu             sync.Mutex // guards what describe reads
	state          State
	name, from, to string
	pkg            volume.Package
	staged         *volume.Staged
	release        volume.Release // the target
	way            plan           // from one to the other
	commitBy       time.Time      // set while it waits for a person
	signer         volume.Signer  // of the package
	mayRestart     bool           // where there is no way in service
	mayGoDown      bool           // to an older version
	mayDerive      bool           // the relup that the package lacks
	made           *relup.Made    // the relup that was derived
	node           Incarnation
	gates          gate.Set
	since          *gate.Vitals // of the node when its installation began
	counting       Incarnation  // that node
	passed         []hop        // what is behind it of the way
	leaping        bool         // nobody knows yet what became of the hop that follows
	unpackedByUs   bool         // the release was published by this attempt
	registered     []string     // release_handler learned of them from this attempt
	operationBegun bool
	sealed         bool // the volume has the target as permanent
	restarted      bool
	before         []api.Difference // that the node had from its release before anything was installed
	told           []api.Difference
	warnings       []string
}

// step does what is needed to reach a state.
type step struct {
	to State
	do func(context.Context) error
}

func newAttempt(e *Engine, kind string, on func(api.Event)) *attempt {
	return &attempt{
		Engine: e, id: newID(), kind: kind, started: time.Now(), settle: e.Settle, on: on, state: Requested,
		decided: make(chan decision, 1), rests: make(chan struct{}), over: make(chan struct{}),
	}
}

// wants takes what the request says of the probation.
func (a *attempt) wants(settle *time.Duration, hold api.Hold) {
	if settle != nil {
		a.settle, a.settled = *settle, true
	}
	if hold.NoCommit {
		a.within = cmp.Or(max(0, hold.CommitWithin), a.Within)
	}
}

// newID is unique on its volume, sorts by time, and is short enough to be typed.
func newID() string {
	var salt [2]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	return time.Now().UTC().Format("20060102-150405-") + hex.EncodeToString(salt[:])
}

// walk takes the steps one by one, and takes back what was done when one fails.
func (a *attempt) walk(ctx context.Context, steps []step) {
	defer a.survive(ctx)
	err := a.meetNode()
	if err == nil {
		err = a.endLast()
	}
	if err == nil {
		err = a.readGates()
	}
	a.tidy()
	for _, s := range steps {
		if err == nil && ctx.Err() != nil {
			err = errStopping
		}
		if err == nil {
			err = s.do(ctx)
		}
		if err == nil {
			err = a.reach(s.to)
		}
		if err != nil {
			a.fail(ctx, err)
			return
		}
	}
	a.succeed()
}

// survive ends an attempt in which something panicked, as one that failed unless it was committed: neither what the keeper protects nor what the
// volume has under way may outlive it.
func (a *attempt) survive(ctx context.Context) {
	if cause := recover(); cause != nil {
		defer a.giveUp()
		a.panicked(cause)
		if a.sealed {
			if a.Volume.State().Operation != nil {
				a.warn("the volume could not be told that the upgrade is over; the next start of the agent does so")
			}
			a.move(Committed)
			a.succeed()
			return
		}
		a.fail(ctx, ownFault{fmt.Errorf("the agent met an error of its own: %v", cause)})
	}
}

// giveUp is for an attempt that cannot even fail as it should. The next start of the agent ends its operation.
func (a *attempt) giveUp() {
	if cause := recover(); cause != nil {
		a.Keeper.Protect("")
		a.panicked(cause)
		e := &api.Error{
			Code: api.CodeInternal, Message: fmt.Sprintf("the agent met an error of its own while it took the %s back: %v", a.kind, cause),
			State: a.describeRelease(a.from) + " boots next", Hint: "restart the container",
		}
		a.finish(a.result(api.Broken, e), a.kind+"."+string(api.Broken), e.Error())
	}
}

func (a *attempt) panicked(cause any) {
	a.emit("upgrade.panicked", fmt.Sprintf("an error of the agent itself: %.200q", fmt.Sprint(cause)), map[string]any{"stack": string(debug.Stack())})
}

// meetNode learns what runs before anything is done. A node that is down, or does not come up, must not keep its release
// where a restart is allowed: then the attempt leads from what boots.
func (a *attempt) meetNode() error {
	node, version, err := a.Keeper.Running()
	if err != nil && (a.mayRestart || a.kind == kindUnpack) {
		node, version = nil, a.Volume.State().Current
	} else if err != nil {
		return &api.Error{
			Code: api.CodeNodeDown, Message: fmt.Sprintf("cannot begin the %s: %v", a.kind, err),
			Hint: "agent status says what the node does; --restart does not need it",
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.node, a.from = node, version
	a.name = a.Volume.State().Releases[version].Name
	return nil
}

// reach notes the state. Installing is recorded durably before it is entered: from there on a crash costs the
// node's state, before it a crash costs nothing. So is a probation that waits for a person: a crash may come much later.
// A state that could not be recorded was not reached.
func (a *attempt) reach(to State) error {
	next, err := a.state.next(to)
	if err == nil && (next == Installing || next == Probation && a.within > 0) {
		if err = a.Volume.Advance(string(next)); err != nil {
			err = ownFault{err}
		}
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = next
	return nil
}

// describe is called with the engine's lock.
func (a *attempt) describe() *api.Upgrade {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &api.Upgrade{
		ID: a.id, Kind: a.kind, State: string(a.state), From: a.from, To: a.to, Via: a.way.over(), CommitBy: a.commitBy,
		Revocable: a.heeds && a.kind != volume.KindRollback,
	}
}

// at is the version that the node runs, as far as the way is behind it.
func (a *attempt) at() string {
	if len(a.passed) == 0 {
		return a.from
	}
	return a.passed[len(a.passed)-1].to
}

// next is the hop that follows.
func (a *attempt) next() hop { return a.way.hops[len(a.passed)] }

// target sets what the attempt leads to, once that is known.
func (a *attempt) target(r volume.Release) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release, a.to = r, r.Version
}

// emit tells log, history and caller.
func (a *attempt) emit(kind, message string, attrs map[string]any) {
	a.send(api.Event{Kind: kind, Message: message, Attrs: attrs})
}

func (a *attempt) send(e api.Event) {
	e.Time, e.Upgrade = time.Now(), a.id
	a.Record(e)
	a.on(e)
}

// warn is for what is true and does not stop the attempt.
func (a *attempt) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.warnings = append(a.warnings, text)
	a.emit("upgrade.warned", text, nil)
}

// warnOnce is for what is looked at more than once.
func (a *attempt) warnOnce(format string, args ...any) {
	if !slices.Contains(a.warnings, fmt.Sprintf(format, args...)) {
		a.warn(format, args...)
	}
}

// progress reports bytes, at most ten times a second, to the caller alone.
func (a *attempt) progress() func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		if time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		a.on(api.Event{
			Time: last, Upgrade: a.id, Kind: api.KindProgress, Message: string(a.state),
			Attrs: map[string]any{"done": done, "total": total},
		})
	}
}

// verb is what the user asked for.
func (a *attempt) verb() string {
	if a.kind == volume.KindRollback {
		return "roll back"
	}
	return a.kind
}

// goal is the verb with its object.
func (a *attempt) goal(version string) string {
	switch a.kind {
	case "install", kindUnpack:
		return a.kind + " " + a.describeRelease(version)
	}
	return a.verb() + " to " + a.describeRelease(version)
}

// describeRelease is how messages name a release of this name.
func (a *attempt) describeRelease(version string) string { return a.name + " " + version }

func (a *attempt) succeed() {
	if a.kind == kindUnpack {
		a.finish(a.result(api.Unpacked, nil), a.kind+"."+string(api.Unpacked), a.describeRelease(a.to)+" stays on the volume; nothing was installed")
		return
	}
	r := a.result(api.Committed, nil)
	what := "runs and is permanent"
	if !a.runs(a.to) {
		what = "is permanent, and the node has ended since"
	}
	a.finish(r, a.kind+".committed", fmt.Sprintf("%s %s (%s), %s after the request",
		a.describeRelease(a.to), what, r.Way(), r.Duration.Round(time.Millisecond)))
}

func (a *attempt) result(o api.Outcome, cause *api.Error) api.Result {
	r := api.Result{
		ID: a.id, Outcome: o, Name: a.name, From: a.from, To: a.to, Restart: a.restarted,
		Via: a.way.over(), Duration: time.Since(a.started), Warnings: a.warnings, Error: cause,
	}
	if _, version, err := a.Keeper.Running(); err == nil {
		r.Running = version
	}
	return r
}

// runs says that a node is up with this version.
func (a *attempt) runs(version string) bool {
	_, running, err := a.Keeper.Running()
	return err == nil && running == version
}

// finish tells how it ended. Who hears that may begin the next one at once.
func (a *attempt) finish(r api.Result, kind, message string) {
	a.forgetVitals()
	a.Engine.mu.Lock()
	a.ended = true
	a.Engine.mu.Unlock()
	a.conclude(r, kind, message)
}

// conclude tells the result, which is the last that a caller hears.
func (a *attempt) conclude(r api.Result, kind, message string) {
	e := api.Event{Time: time.Now(), Upgrade: a.id, Kind: kind, Message: message, Result: &r, Error: r.Error}
	a.Record(e)
	a.on(e)
}
