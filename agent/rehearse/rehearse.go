// Package rehearse tries an upgrade before it is real: it runs the agent itself, the same binary, on volumes that are thrown
// away, has it upgrade one release to another and back, and compares each node with that of a fresh boot. What passes is
// what production does, because it is done by the same program; nothing here knows how an upgrade is made.
//
// The acts, each with a result of its own (report.go):
//
//	boot-old, boot-new           two fresh boots of each release: the pictures that the others are compared with
//	upgrade                      old → new, in service
//	rollback                     new → old, in service, or rollback-by-restart where no relup leads back
//	upgrade-again                old → new, on the volume that has seen both
//	kill-node at STEP            a boot of old, and an upgrade in which the node is killed when the agent tells of that step
//	kill-container at STEP       likewise, and everything is killed at once
//
// One node runs at a time, since a release may listen where it likes.
package rehearse

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"theseus/signals"
)

// Variable is in the environment of every process of a rehearsal, and names the rehearsal: what they leave is found by it.
const Variable = "AGENT_REHEARSAL"

// Options say what is rehearsed, and how.
type Options struct {
	Old, New string        // packages, as Fetch knows them
	Fetch    Fetch         // has them as files of this machine
	Environ  []string      // of the agents, and so of the nodes
	Dir      string        // for everything that is thrown away; empty: TMPDIR
	Derived  bool          // the agent may make the relup that New lacks
	Restart  bool          // the agent may restart the node where there is no way in service
	Quick    bool          // nothing is killed
	Settle   time.Duration // of the upgrades; negative: the agent's setting
	Patience time.Duration // for each act
	Load     string        // command that runs during each way in service; empty: none
	WarmUp   time.Duration // from its start to that of the upgrade
	Probes   []Probe
	Output   *os.File  // what agents and nodes print; nil: it is only quoted
	Tell     func(Act) // hears of each act when it is over
}

// Fetch finds the file of a package, and what it is called, also where there is none.
type Fetch func(ctx context.Context, ref string) (path, name string, err error)

// stage is one rehearsal.
type stage struct {
	Options
	dir      string
	marker   string // Variable=…, in the environment
	init     *signals.Init
	report   *Report
	old, new *fresh
	steps    []string        // what the agent told of in the first upgrade
	usual    map[string]bool // what fresh boots report as well
}

// Run rehearses. An error says why that could not be done; the report then has the acts until there.
func Run(ctx context.Context, o Options) (report Report, err error) {
	begun := time.Now()
	defer func() { report.end(begun, err) }()
	s, err := newStage(ctx, o, &report)
	if err != nil {
		return report, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // orphans are reaped to the last
	var reaper sync.WaitGroup
	reaper.Go(func() { _ = s.init.Run(life) })
	defer reaper.Wait()
	defer end()
	defer func() { err = errors.Join(err, s.clear(ctx)) }()
	err = s.play(ctx)
	if ctx.Err() != nil {
		err = errors.New("cannot rehearse to the end: it was told to stop")
	}
	return report, err
}

// longestSocket is what a path of a unix socket may have (unix(7), sun_path).
const longestSocket = 107

func newStage(ctx context.Context, o Options, report *Report) (*stage, error) {
	err := errors.Join(report.Old.fetch(ctx, o.Fetch, &o.Old), report.New.fetch(ctx, o.Fetch, &o.New))
	if err != nil {
		return nil, err
	}
	init, err := signals.New(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "agent-rehearse-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make room for a rehearsal: %w", err)
	}
	s := &stage{
		Options: o, dir: dir, init: init, marker: Variable + "=" + rand.Text(), report: report, usual: map[string]bool{},
		old: &fresh{Release: &report.Old, path: o.Old}, new: &fresh{Release: &report.New, path: o.New},
	}
	if longest := filepath.Join(dir, "run", "bin", "heart.sock"); len(longest) > longestSocket {
		return nil, errors.Join(fmt.Errorf("cannot rehearse in %s: its path is too long for a socket", dir), s.clear(context.Background()))
	}
	return s, nil
}

// fetch makes a path of what names a package. Agents have other directories: it is an absolute one.
func (r *Release) fetch(ctx context.Context, fetch Fetch, ref *string) (err error) {
	if *ref, r.Package, err = fetch(ctx, *ref); err != nil {
		return err
	}
	if *ref, err = filepath.Abs(*ref); err != nil {
		return fmt.Errorf("cannot read the package: %w", err)
	}
	return nil
}

// clear leaves neither a process nor a file.
func (s *stage) clear(ctx context.Context) error {
	var left error
	if !s.init.Kill(ctx, s.marker) {
		left = errors.New("cannot end all processes of the rehearsal")
	}
	return errors.Join(left, discard(s.dir))
}

// discard removes a directory in which a package may have made others that nobody may write.
func discard(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	if err = os.RemoveAll(dir); err != nil {
		return fmt.Errorf("cannot remove what the rehearsal has made: %w", err)
	}
	return nil
}
