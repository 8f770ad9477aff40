package upgrade

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"theseus/agent/api"
	"theseus/agent/drift"
	"theseus/rpc"
	"theseus/rpc/term"
	"theseus/volume"
)

// world is what an upgrade acts on beside the volume: a keeper, its node, and the node's release_handler. They
// do what the real ones do, unless the script has a fault for a call:
//
//	error      the call is answered with an error, and not done
//	error+end  so it is, and a moment later the node ends
//	lost       no answer, the connection is lost, and the call was not done
//	lost+done  no answer, the connection is lost, and the call was done
//	end        the node ends before the call is done
//	done+end   the call is done, then the node ends; there is no answer
//	hang       there is no answer, for as long as the caller waits
//	panic      the agent's own code panics
//	stop       the agent is told to stop while the call runs, and there is no answer
//
// A fault with +again strikes twice, and some calls have answers of their own, which stand where the call does.
type world struct {
	t      *testing.T
	volume *volume.Volume
	see    func(call string) // every call, before it does anything
	stop   context.CancelFunc
	faults map[string]string // what is left of the script
	phase  string            // which of its calls of one name a fault means
	trail  []string          // what was left on the way there: there are phases of each hop

	node    *node
	protect string
	expect  string
	asked   bool // the node has asked for what is expected
	ahead   bool // the keeper has booted another node, of which nobody was told
}

// node is one incarnation with its release_handler.
type node struct {
	*world
	ended   chan struct{}
	dying   bool
	up      bool
	runs    string // the code
	version string // what the keeper believes
	known   map[string]rpc.Status
	counts  bool // what it logs
}

func newWorld(t *testing.T, v *volume.Volume, script string) *world {
	w := &world{t: t, volume: v, see: func(string) {}, faults: words(script), phase: "check"}
	w.boot(v.State().Current)
	return w
}

// words are the faults of a script by the call.
func words(script string) map[string]string {
	faults := map[string]string{}
	for word := range strings.FieldsSeq(script) {
		call, fault, _ := strings.Cut(word, ":")
		faults[call] = fault
	}
	return faults
}

// boot launches a node as the keeper does: release_handler reads what the volume has derived for it.
func (w *world) boot(version string) {
	if err := w.volume.Derive(version); err != nil {
		w.t.Error(err)
	}
	w.node = &node{world: w, ended: make(chan struct{}), up: true, runs: version, version: version, known: map[string]rpc.Status{}}
	for v := range w.volume.State().Releases {
		w.node.known[v] = rpc.Unpacked
	}
	w.node.known[version] = rpc.Permanent
}

func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

func (n *node) end() {
	if !n.hasEnded() {
		close(n.ended)
	}
}

// fault takes the script's next word for a call, by its name or by the phase and its name.
func (w *world) fault(call string) string {
	for _, name := range []string{call, w.phase + "." + call} {
		if fault, ok := w.faults[name]; ok {
			delete(w.faults, name)
			if once, more := strings.CutSuffix(fault, "+again"); more {
				w.faults[name], fault = once, once
			}
			return fault
		}
	}
	return ""
}

// The keeper.

func (w *world) Running() (Incarnation, string, error) {
	if w.fault("running") == "error" || w.node.hasEnded() || !w.node.up {
		return nil, "", errors.New("the node is down")
	}
	return w.node, w.node.version, nil
}

func (w *world) InUse() string { return w.node.version }

func (w *world) Upgraded(_ Incarnation, version string) { w.node.version = version }

func (w *world) Protect(version string) {
	w.see("protect")
	if version == "" && w.says("sealed", "end") { // in the moment of the commit: what follows was decided before
		w.node.end()
		w.boot(w.protect)
		w.ahead = true
	}
	w.protect, w.expect = version, ""
}

func (w *world) Expect(version string) { w.expect = version }

func (w *world) Rest() {
	w.see("rest")
	w.phase = "rested"
	if w.protect == "" {
		w.t.Error("the end of a node that rests is not provided for")
	}
}

func (w *world) Restart(ctx context.Context, version string) error {
	w.see("restart")
	w.phase = "restarted"
	w.node.end()
	return w.comesUp(ctx, "restart", version)
}

func (w *world) Await(ctx context.Context, old Incarnation) error {
	w.see("await")
	if w.says("await", "stuck") { // the node does not end
		<-ctx.Done()
		return ctx.Err()
	}
	w.phase = "restarted"
	switch {
	case w.ahead:
		w.ahead = false
		return nil
	case w.node != old.(*node):
		w.t.Error("waits for another node than the one that runs, or has run")
	case !w.node.hasEnded() || w.protect == "":
		w.t.Errorf("waits for a restart of a node that has ended: %v, and is protected by %q", w.node.hasEnded(), w.protect)
	}
	if w.asked {
		w.asked = false
		return w.comesUp(ctx, "await", w.expect)
	}
	return w.comesUp(ctx, "await", w.protect)
}

func (w *world) comesUp(ctx context.Context, call, version string) error {
	fault := w.fault(call)
	if fault == "stop" {
		w.stop()
		return errors.New("the agent is about to stop")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.boot(version)
	switch fault {
	case "error":
		w.node.end()
		return errors.New("the node of " + version + " ended while it booted")
	case "hang":
		w.node.up = false
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// The node.

func (n *node) Ended() <-chan struct{} { return n.ended }

func (n *node) Handler(context.Context) (Handler, error) {
	if n.hasEnded() {
		return nil, errors.New("the node has ended")
	}
	if n.dying || n.fault("connect") == "error" {
		return nil, rpc.ErrRefused
	}
	return &connection{node: n}, nil
}

// connection is good for calls until one of them loses it.
type connection struct {
	*node
	lost bool
}

// call does what the script says. refused is how the node answers a call that is not done.
func (c *connection) call(ctx context.Context, name string, refused error, act func() error) error {
	c.see(name)
	ctx, cancel := context.WithTimeout(ctx, min(rpc.DefaultTimeout, timeLeft(ctx)))
	defer cancel()
	if c.lost || c.hasEnded() || ctx.Err() != nil {
		return fmt.Errorf("cannot call %s: %w: %w", name, rpc.ErrNotSent, context.Cause(ctx))
	}
	unknown := fmt.Errorf("cannot call %s: %w", name, rpc.ErrUnknownOutcome)
	fault := c.fault(name)
	if strings.Contains(fault, "done") {
		_ = act()
	}
	c.lost = strings.Contains(fault, "lost")
	switch fault {
	case "":
		return act()
	case "error":
		return refused
	case "error+end":
		time.AfterFunc(verdictPoll/2, c.end)
		return refused
	case "end", "done+end": // the connection is the first to know
		c.lost, c.dying = true, true
		time.AfterFunc(verdictPoll/2, c.end)
	case "lost", "lost+done":
	case "stop":
		c.stop()
		return fmt.Errorf("%w: %w", unknown, ctx.Err())
	case "hang":
		<-ctx.Done()
		return fmt.Errorf("%w: %w", unknown, ctx.Err())
	case "panic":
		panic(name) //nolint:forbidigo // it is the fault
	default:
		c.t.Errorf("%s has no fault %q", name, fault)
	}
	return unknown
}

// timeLeft is until the deadline that the caller gave: without one every call has rpc's own.
func timeLeft(ctx context.Context) time.Duration {
	deadline, given := ctx.Deadline()
	if !given {
		return rpc.DefaultTimeout
	}
	return time.Until(deadline)
}

// says takes an answer that is no fault.
func (w *world) says(call, answer string) bool {
	for _, name := range []string{call, w.phase + "." + call} {
		if w.faults[name] == answer {
			delete(w.faults, name)
			return true
		}
	}
	return false
}

// wrote leaves what OTP leaves where it writes in place.
func (n *node) wrote() {
	path := filepath.Join(n.volume.Root(), "releases", "RELEASES")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%v, as OTP has it", n.known), 0o644); err != nil {
		n.t.Error(err)
	}
}

func refusal(call, version, reason string) error {
	tuple := term.Tuple{term.Atom(reason), term.String(version), term.Atom("demo"), term.Atom("undefined"), term.Atom("oops")}
	return &rpc.ReleaseError{Call: call, Version: version, Reason: tuple}
}

func raised(call string) error {
	return &rpc.BadRPCError{Module: "demo", Function: call, Reason: term.Atom("oops")}
}

func (c *connection) WhichReleases(ctx context.Context) (list []rpc.Release, err error) {
	err = c.call(ctx, "which", raised("which"), func() error {
		for version, status := range c.known {
			list = append(list, rpc.Release{Name: "demo", Version: version, Status: status, Libs: []string{"demo-" + version}})
		}
		return nil
	})
	return list, err
}

func (c *connection) ReadReleases(ctx context.Context) error {
	return c.call(ctx, "read", raised("read"), func() error { return nil })
}

func (c *connection) SetUnpacked(ctx context.Context, relFile string) error {
	version := filepath.Base(filepath.Dir(relFile))
	return c.call(ctx, "set_unpacked", refusal("set_unpacked", version, "enoent"), func() error {
		if c.known[version] != "" {
			return refusal("set_unpacked", version, "existing_release")
		}
		c.known[version] = rpc.Unpacked
		c.wrote()
		return nil
	})
}

func (c *connection) SetRemoved(ctx context.Context, version string) error {
	return c.call(ctx, "set_removed", refusal("set_removed", version, "permanent"), func() error {
		if c.known[version] == "" {
			return refusal("set_removed", version, "no_such_release")
		}
		delete(c.known, version)
		c.wrote()
		return nil
	})
}

func (c *connection) CheckInstallRelease(ctx context.Context, version string, _ bool) (rpc.Installed, error) {
	return rpc.Installed{}, c.call(ctx, "check_install", refusal("check_install_release", version, "old_processes"), func() error {
		if c.known[version] == "" {
			return refusal("check_install_release", version, "no_such_release")
		}
		return nil
	})
}

// InstallRelease is called install on the way there, and back on the way back.
func (c *connection) InstallRelease(ctx context.Context, version string, _ rpc.InstallOptions) (rpc.Installed, error) {
	name := "install"
	if c.phase == "check" {
		c.trail = nil
	}
	if slices.Contains(c.trail, version) {
		name, c.phase = "back", "reverted"
	} else {
		c.trail = append(c.trail, c.runs)
		c.phase = "installed" + c.hop()
	}
	return rpc.Installed{}, c.call(ctx, name, refusal("install_release", version, "code_change_failed"), func() error {
		if c.expect != "" {
			if c.faults["await"] == "stuck" {
				return nil
			}
			c.asked = true
			c.end()
			return nil
		}
		for v, status := range c.known {
			if status == rpc.Current {
				c.known[v] = rpc.Old
			}
		}
		if c.known[version] != rpc.Permanent {
			c.known[version] = rpc.Current
		}
		c.runs = version
		c.wrote()
		return nil
	})
}

// hop is empty for the first one on the way, then 2, 3 and so on.
func (w *world) hop() string {
	if len(w.trail) < 2 {
		return ""
	}
	return fmt.Sprint(len(w.trail))
}

func (c *connection) MakePermanent(ctx context.Context, version string) error {
	return c.call(ctx, "make_permanent", refusal("make_permanent", version, "bad_status"), func() error {
		for v, status := range c.known {
			if status == rpc.Permanent {
				c.known[v] = rpc.Old
			}
		}
		c.known[version] = rpc.Permanent
		c.wrote()
		return nil
	})
}

// InitStatus answers stopping where the script says so.
func (c *connection) InitStatus(ctx context.Context) (internal, provided string, err error) {
	internal = "started"
	if c.says("status", "stopping") {
		internal = "stopping"
	}
	return internal, "started", c.call(ctx, "status", raised("status"), func() error { return nil })
}

// Applications are those of the release that runs; the script may have one in another version, or ended.
func (c *connection) Applications(ctx context.Context) (running []rpc.App, err error) {
	forgotten, ended := c.says("apps", "old"), c.says("apps", "ended")
	err = c.call(ctx, "apps", raised("apps"), func() error {
		for _, lib := range c.volume.State().Releases[c.runs].Libs {
			app := rpc.App{Name: lib.App, Version: lib.Version}
			if lib.App == "demo" && forgotten {
				app.Version = "0.9.0"
			}
			if lib.Stays() && (lib.App != "demo" || !ended) {
				running = append(running, app)
			}
		}
		return nil
	})
	if c.phase == "installed"+c.hop() && err == nil {
		c.phase = "settled" + c.hop()
	}
	return running, err
}

// Evaluate compares the node with its release. The script may have some of the demo's code differ, or a parameter that was set at run time, or
// some of it not looked at, or the comparison fail in the node.
func (c *connection) Evaluate(ctx context.Context, _ string, out io.Writer) error {
	found := drift.Found{}
	switch {
	case c.says("drift", "some"):
		found.Differences = []api.Difference{{Kind: drift.ModuleDiffers, Application: "demo", Subject: "demo"}, {Kind: drift.ModuleDiffers, Application: "demo", Subject: "demo_sup"}}
	case c.says("drift", "else"):
		found.Differences = []api.Difference{{Kind: drift.ModuleDiffers, Application: "kernel", Subject: "code"}}
	case c.says("drift", "missing"):
		found.Differences = []api.Difference{{Kind: drift.ModuleMissing, Application: "demo", Subject: "demo_nif", Want: c.runs}}
	case c.says("drift", "set"):
		found.Differences = []api.Difference{{Kind: drift.EnvironmentExtra, Application: "demo", Subject: "demo:level"}}
	case c.says("drift", "patched"):
		found.Differences = []api.Difference{{Kind: drift.ModuleDiffers, Application: "demo", Subject: "demo", Want: c.runs, Got: "a fix"}}
	case c.says("drift", "flood"):
		for i := range 60 {
			found.Differences = append(found.Differences, api.Difference{Kind: drift.ModuleElsewhere, Subject: fmt.Sprint("odd_", i)})
		}
		found.Differences = append(found.Differences, api.Difference{Kind: drift.Environment, Application: "demo", Subject: "demo:level"})
		found.More = map[string]int{drift.ModuleElsewhere: 7, drift.EnvironmentExtra: 9}
	case c.says("drift", "blind"):
		found.Unknown = []string{"the code path"}
	case c.says("drift", "raised"):
		return &rpc.ExceptionError{Text: "exception error: oops"}
	}
	return c.call(ctx, "drift", raised("drift"), func() error { return json.NewEncoder(out).Encode(found) })
}

func (c *connection) UseConsolidated(ctx context.Context, _ string, _ []string) error {
	return c.call(ctx, "consolidate", raised("consolidate"), func() error { return nil })
}

func (c *connection) Busy(ctx context.Context, modules []string, _ time.Duration) (busy []rpc.Process, err error) {
	if !slices.Equal(modules, []string{"demo", "demo_conn"}) {
		c.t.Errorf("asked which processes of %v are busy", modules)
	}
	if c.says("busy", "one") {
		busy = []rpc.Process{{Name: "demo_conn", Modules: []string{"demo_conn"}}}
	}
	return busy, c.call(ctx, "busy", raised("busy"), func() error { return nil })
}

// answers are those of functions in the node: what is usual, and what the script may have instead.
var answers = map[string]string{
	"which_children":            "[{other,undefined,worker,[other]},{till,'<0.1.0>',worker,[till]}]",
	"which_children:undefined":  "[{till,undefined,worker,[till]}]",
	"which_children:restarting": "[{till,restarting,worker,[till]}]",
	"get_childspec":             "{ok,#{id => till,modules => [till],restart => permanent}}",
	"get_childspec:transient":   "{ok,#{id => till,modules => [till],restart => transient}}",
	"restart_child":             "{error,{already_there,shop_sold}}",
	"restart_child:ignored":     "{ok,undefined}",
	"restart_child:running":     "{error,running}",
}

// Call is for what gates ask of a node, in which nothing happens, and for the children of its supervisors.
func (c *connection) Call(ctx context.Context, _, function string, _ ...term.Term) (term.Term, error) {
	text := cmp.Or(answers[function], "ok")
	for name, answer := range answers {
		if call, word, special := strings.Cut(name, ":"); special && call == function && c.says(call, word) {
			text = answer
		}
	}
	answer, err := term.ParseOne([]byte(text))
	if err != nil {
		c.t.Error(err)
	}
	return answer, c.call(ctx, function, raised(function), func() error { return nil })
}

func (c *connection) CountVitals(ctx context.Context) error {
	return c.call(ctx, "count", raised("count"), func() error { c.counts = true; return nil })
}

func (c *connection) ForgetVitals(ctx context.Context) error {
	c.counts = false
	return nil
}

func (c *connection) Vitals(ctx context.Context) (v rpc.Vitals, err error) {
	err = c.call(ctx, "vitals", raised("vitals"), func() error {
		v = rpc.Vitals{Memory: 1 << 20, Level: "notice", Counted: c.counts, Logged: map[string]int{}}
		return nil
	})
	return v, err
}

func (c *connection) Mailbox(ctx context.Context) (length int64, owner string, err error) {
	return 0, "none", c.call(ctx, "mailbox", raised("mailbox"), func() error { return nil })
}
