package upgrade

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"theseus/agent/api"
	"theseus/volume"
)

// story is one upgrade or rollback from beginning to end: what goes wrong in it (world has the words), and how it
// ends, in one line. The line begins with the state that it ends from. A script may also have the agent told to stop
// when a state is reached (stop:state), or the disk full from a call on (full:call).
type story struct{ script, want string }

// stage is where a story is told.
type stage struct {
	t      *testing.T
	volume *volume.Volume
	world  *world
	engine *Engine

	request api.UpgradeRequest

	path    []State // that were gone through
	before  disk
	events  []api.Event // what the caller was told
	history []api.Event // what was recorded
	overs   int         // how often an attempt was no longer under way
}

// disk is the content of every file by its name, and of every link its target.
type disk map[string]string

func newStage(t *testing.T, script string, on ...files) *stage {
	image := makeImage(t)
	v := makeVolume(t, image, on...)
	s := &stage{t: t, volume: v, world: newWorld(t, v, script), before: readDisk(t, v)}
	s.engine = &Engine{Volume: v, Keeper: s.world, Image: image, Settle: 2 * time.Second, Within: time.Hour, Record: func(e api.Event) { s.history = append(s.history, e) }, Over: s.over}
	fullAt := s.world.fault("full")
	s.world.see = func(call string) {
		s.look()
		if call == fullAt {
			s.fill()
		}
	}
	return s
}

func (s *stage) over() {
	s.overs++
	if u := s.engine.Current(); u != nil {
		s.t.Errorf("it is over, and still in state %s", u.State)
	}
}

// toldOver fails the story where nobody was told that the attempt is over.
func (s *stage) toldOver() {
	if s.engine.Current() == nil && s.overs == 0 {
		s.t.Error("nobody was told that it is over")
	}
}

// givenUp tells whether, and why, the release that the upgrade was about is in quarantine.
func (s *stage) givenUp() (volume.Failure, bool) {
	state := s.volume.State()
	return state.GivenUp(state.Failed["1.1.0"].Package)
}

// fill makes every further record of the state fail, as a full disk does.
func (s *stage) fill() {
	if err := os.MkdirAll(s.volume.Path(".agent", ".state.json.tmp", "in the way"), 0o700); err != nil {
		s.t.Error(err)
	}
}

// look notes in which state the attempt is, and that nobody else can begin one, whenever that is.
func (s *stage) look() {
	u, ended := s.attempt()
	if u == nil {
		return
	}
	if now := State(u.State); len(s.path) == 0 || s.path[len(s.path)-1] != now {
		s.path = append(s.path, now)
	}
	if !ended {
		if err := s.engine.Rollback(context.Background(), api.RollbackRequest{}, func(api.Event) {}); !errors.Is(err, ErrBusy) {
			s.t.Errorf("another one in state %s: %v", u.State, err)
		}
	}
	if boots := s.volume.State().Current; u.From != "" && boots != u.From && !slices.Contains(s.path, Probation) {
		s.t.Errorf("a crash in state %s boots %s", u.State, boots)
	}
}

// attempt is the one that the engine has, though it may have ended.
func (s *stage) attempt() (u *api.Upgrade, ended bool) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	if s.engine.current == nil {
		return nil, false
	}
	return s.engine.current.describe(), s.engine.current.ended
}

// lookingContext is the agent's life. The engine asks between any two steps whether it goes on.
type lookingContext struct {
	context.Context
	ask func()
}

func (c lookingContext) Err() error {
	c.ask()
	return c.Context.Err()
}

// life is a context that ends as the script says.
func (s *stage) life() (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(context.Background())
	s.world.stop = stop
	stopAt := s.world.fault("stop")
	return lookingContext{ctx, func() {
		s.look()
		if u := s.engine.Current(); u != nil && u.State == stopAt {
			stop()
		}
	}}, stop
}

func (s *stage) upgrade(pkg files) {
	s.receive(context.Background(), bytes.NewReader(pkg.pack(s.t)), s.request)
}

// receive is upgrade with a caller and bytes that may be anything.
func (s *stage) receive(caller context.Context, pkg io.Reader, req api.UpgradeRequest) {
	req.Name = "demo.tar.gz"
	life, stop := s.life()
	defer stop()
	if err := s.engine.Upgrade(life, caller, req, pkg, s.hear); err != nil {
		s.t.Error(err)
	}
	s.toldOver()
}

func (s *stage) rollback(req api.RollbackRequest) {
	life, stop := s.life()
	defer stop()
	if err := s.engine.Rollback(life, req, s.hear); err != nil {
		s.t.Error(err)
	}
}

// hear is the caller.
func (s *stage) hear(e api.Event) {
	s.look()
	s.events = append(s.events, e)
}

// end checks what is true of every end, and tells this one in one line.
func (s *stage) end() string {
	r := s.result()
	s.checkPath(r)
	s.checkVolume(r)
	if s.world.protect != "" {
		s.t.Errorf("the end of the node still boots %s", s.world.protect)
	}
	if u := s.engine.Current(); u != nil {
		s.t.Errorf("%s is still under way", u.ID)
	}
	if len(s.world.faults) > 0 {
		s.t.Errorf("the story does not get to %v", s.world.faults)
	}
	return s.tell(r)
}

// result is that of the one event that has one, which is the last.
func (s *stage) result() api.Result {
	heard := slices.DeleteFunc(slices.Clone(s.events), func(e api.Event) bool { return e.Kind == api.KindProgress })
	if diff := cmp.Diff(s.history, heard); diff != "" {
		s.t.Errorf("the caller hears something else than is recorded (-recorded +heard):\n%s", diff)
	}
	for i, e := range heard {
		if (e.Result != nil) != (i == len(heard)-1) {
			s.t.Errorf("event %d of %d, %s, has the result %v", i+1, len(heard), e.Kind, e.Result)
		}
		if strings.Contains(e.Message, "\n") || e.Message == "" {
			s.t.Errorf("event %s says %q", e.Kind, e.Message)
		}
	}
	last := heard[len(heard)-1]
	if last.Result == nil {
		s.t.Fatal("there is no result")
	}
	if err := last.Result.Error; err != nil && (strings.Contains(err.Error(), "\n") || err.Code == "") {
		s.t.Errorf("the error is %+v", err)
	}
	return *last.Result
}

func (s *stage) checkPath(r api.Result) {
	for i := range len(s.path) - 1 {
		if _, err := s.path[i].next(s.path[i+1]); err != nil {
			s.t.Error(err)
		}
	}
	ends := map[api.Outcome][]State{
		api.Committed: {Committed}, api.Refused: {Aborted}, api.Aborted: {Aborted}, api.Reverted: {Reverted}, api.Broken: {Reverted, Probation},
		api.Interrupted: {Installing, Probation}, api.Unpacked: {Unpacked},
	}
	if last := s.path[len(s.path)-1]; !slices.Contains(ends[r.Outcome], last) {
		s.t.Errorf("%s in state %s", r.Outcome, last)
	}
}

// checkVolume compares what boots, and for an upgrade that was given up the whole disk.
func (s *stage) checkVolume(r api.Result) {
	state := s.volume.State()
	boots := map[bool]string{true: r.To, false: r.From}[r.Outcome == api.Committed]
	if r.From != "" && state.Current != boots {
		s.t.Errorf("%s, but %s boots", r.Outcome, state.Current)
	}
	if state.Operation != nil {
		return // the next start of the agent takes back what could not be
	}
	if r.Outcome == api.Aborted || r.Outcome == api.Refused {
		if diff := cmp.Diff(s.before, readDisk(s.t, s.volume)); diff != "" {
			s.t.Errorf("the disk is not as before:\n%s", diff)
		}
		return
	}
	if _, failed := state.Failed[r.To]; failed != (r.Outcome == api.Reverted || r.Outcome == api.Broken) {
		s.t.Errorf("%s, and failed are %v", r.Outcome, state.Failed)
	}
	if otp := readDisk(s.t, s.volume)["releases/RELEASES"]; r.Outcome == api.Committed && r.Warnings == nil && strings.Contains(otp, "as OTP has it") {
		s.t.Errorf("what OTP wrote in place was not made durable: %s", otp)
	}
	if err := s.volume.Verify(boots); boots != "" && err != nil {
		s.t.Error(err)
	}
}

// tell is the line that a story's want is compared with.
func (s *stage) tell(r api.Result) string {
	from := s.path[len(s.path)-1]
	if from.final() {
		from = s.path[max(0, len(s.path)-2)]
	}
	line := fmt.Sprintf("%s: %s", from, r.Outcome)
	if r.Error != nil {
		line += " " + r.Error.Code
	}
	running := r.Running
	if running == "" {
		running = "nothing"
	} else if running != s.world.node.runs {
		s.t.Errorf("%s is said to run, %s does", running, s.world.node.runs)
	}
	line += ", " + running + " runs"
	if r.Restart {
		line += " after a restart"
	}
	if len(r.Warnings) > 0 {
		line += ", warned"
	}
	if op := s.volume.State().Operation; op != nil {
		line += ", left " + op.Phase
	}
	return line
}

func readDisk(t testing.TB, v *volume.Volume) disk {
	t.Helper()
	content := disk{}
	err := filepath.WalkDir(v.Root(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "state.json" || d.Name() == "ballast" {
			return err
		}
		name, err := filepath.Rel(v.Root(), path)
		if err != nil {
			return err
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			content[name], err = os.Readlink(path)
		case d.IsDir():
			content[name] = "a directory"
		default:
			var bytes []byte
			bytes, err = os.ReadFile(path)
			content[name] = string(bytes)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	state := v.State()
	state.Generation = 0
	content["state"] = fmt.Sprintf("%+v", state)
	return content
}

// ends fails unless the story ends so.
func (s *stage) ends(want string) {
	s.t.Helper()
	if got := s.end(); got != want {
		s.t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	if s.t.Failed() {
		for _, e := range s.events {
			s.t.Logf("%-18s %s", e.Kind, e.Message)
		}
	}
}
