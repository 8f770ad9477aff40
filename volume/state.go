package volume

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// schema is the newest version of state.json that this code writes; it reads no newer one.
const schema = 5

// KindRollback is the kind of an operation that leaves what it comes from behind: State.Left.
const KindRollback = "rollback"

// PhaseCommitted is the phase of an operation from its commit to its Finish. Before it a crash boots
// Operation.From, from it on Operation.To; the other phases are the caller's words.
const PhaseCommitted = "committed"

// Errors of Open about state.json, for errors.Is.
var (
	ErrDamagedState = errors.New("the state is damaged")
	ErrNewerState   = errors.New("the state was written by a newer agent")
	ErrForeign      = errors.New("it holds releases, but no state of an agent")
)

// Errors of the operation's methods, for errors.Is.
var (
	ErrBusy        = errors.New("another operation is under way")
	ErrNoOperation = errors.New("no operation is under way")
	ErrCommitted   = errors.New("the operation is committed already")
)

// State is the authority on what the volume holds and what boots.
type State struct {
	Schema     int                `json:"schema"`
	Generation uint64             `json:"generation"`         // counts the writes
	Current    string             `json:"current,omitempty"`  // the version that boots
	Previous   string             `json:"previous,omitempty"` // the one before it, for a rollback
	Via        []string           `json:"via,omitempty"`      // releases over which the upgrade from Previous went, and the rollback goes
	Left       string             `json:"left,omitempty"`     // what the last rollback left: no rollback leads there unless it is named
	Operation  *Operation         `json:"operation,omitempty"`
	Releases   map[string]Release `json:"releases"`          // by version
	Failed     map[string]Failure `json:"failed"`            // by version: why it was given up
	Seeds      []string           `json:"seeds,omitempty"`   // digests of every package that seeded this volume
	Removed    []string           `json:"removed,omitempty"` // likewise, of releases that booted once and were removed; the latest
}

// Release is one published release.
type Release struct {
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	ERTS     string    `json:"erts"`
	Package  string    `json:"package"`  // sha256 of the package it came from, in hex
	Size     int64     `json:"size"`     // of its own files, in bytes
	Libs     []Lib     `json:"libs"`     // in the order of its .rel
	Own      []string  `json:"own"`      // what its package brought: "lib/demo-1.0.0", "erts-13.1.5"
	Manifest string    `json:"manifest"` // sha256 of its MANIFEST, in hex
	Unpacked time.Time `json:"unpacked"`
	// Permanent is when it last became what boots; zero when it never was.
	Permanent time.Time `json:"permanent,omitzero"`
	// Wanted is set where somebody had it unpacked, and nothing else: it stays, though it never was permanent.
	Wanted bool `json:"wanted,omitempty"`
	// Signer is who signed its package, where that had to be known.
	Signer Signer `json:"signer,omitzero"`
	// Unproven is set from when it first becomes what boots until it has run well after a boot of its own.
	Unproven bool `json:"unproven,omitempty"`
	Boots    int  `json:"boots,omitempty"` // of the current release, while it is unproven
	// FirstBoot and LastBoot are when the first and the last of these boots began.
	FirstBoot time.Time `json:"first_boot,omitzero"`
	LastBoot  time.Time `json:"last_boot,omitzero"`
}

// Lib is one application of a release.
type Lib struct {
	App     string `json:"app"`
	Version string `json:"version"`
	Type    string `json:"type,omitempty"` // as in the .rel; empty is permanent; or included
}

// included is the type of an application that another one includes, and starts as a part of itself.
const included = "included"

// Stays tells whether the application runs for as long as the release does: its type is permanent. Those of the
// types load and none are not started, included ones not by themselves, and the others may end when they like
// (kernel: application(3); sasl: systools).
func (l Lib) Stays() bool { return l.Type == "" || l.Type == "permanent" }

func (l Lib) dir() string { return libDir + "/" + l.App + "-" + l.Version }

// Operation is the one change that is under way.
type Operation struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // upgrade, install, rollback or unpack
	From    string    `json:"from"`
	To      string    `json:"to"`
	Via     []string  `json:"via,omitempty"` // releases on the way from one to the other
	Phase   string    `json:"phase"`
	Started time.Time `json:"started"`
	// Derived is set before a relup that was derived is placed in To, and Displaced is the text of an earlier one whose place it takes.
	Derived   bool   `json:"derived,omitempty"`
	Displaced []byte `json:"displaced,omitempty"`
}

// Failure is why a version was given up.
type Failure struct {
	Upgrade string    `json:"upgrade"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	// Boots and Package are set where it was put into quarantine: how often it was booted, and what it came from.
	Boots   int    `json:"boots,omitempty"`
	Package string `json:"package,omitempty"`
}

func (r Release) title() string { return r.Name + " " + r.Version }

// Lib is the release's library of an application.
func (r Release) Lib(app string) (Lib, bool) {
	for _, lib := range r.Libs {
		if lib.App == app {
			return lib, true
		}
	}
	return Lib{}, false
}

// Unborn says that only an operation keeps the release: it never was permanent, and nobody wants it for later.
func (r Release) Unborn() bool { return r.Permanent.IsZero() && !r.Wanted }

// needs lists the trees that the release uses, whoever brought them.
func (r Release) needs() []string {
	trees := append([]string{releaseDir + "/" + r.Version, "erts-" + r.ERTS}, r.Own...)
	for _, lib := range r.Libs {
		trees = append(trees, lib.dir())
	}
	return trees
}

func (s State) clone() State {
	if s.Operation != nil {
		op := *s.Operation
		op.Via, op.Displaced = slices.Clone(op.Via), slices.Clone(op.Displaced)
		s.Operation = &op
	}
	s.Via = slices.Clone(s.Via)
	s.Seeds, s.Removed = slices.Clone(s.Seeds), slices.Clone(s.Removed)
	s.Failed = maps.Clone(s.Failed)
	s.Releases = maps.Clone(s.Releases)
	for version, r := range s.Releases {
		r.Libs, r.Own = slices.Clone(r.Libs), slices.Clone(r.Own)
		s.Releases[version] = r
	}
	return s
}

// State is a copy of what is recorded now.
func (v *Volume) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.st.clone()
}

func (v *Volume) release(version string) Release { return v.State().Releases[version] }

// known is the release, or an error that says that it is not there.
func (v *Volume) known(version string) (Release, error) {
	r, ok := v.State().Releases[version]
	if !ok {
		return r, fmt.Errorf("release %q is not on the volume", version)
	}
	return r, nil
}

// Begin records the intent, before anything changes. ErrBusy when there is one. What was put into quarantine while the
// operation was prepared is no place to begin from: it would be what boots when the operation fails.
func (v *Volume) Begin(op Operation) error {
	return v.update(func(s *State) error {
		if s.Operation != nil {
			return fmt.Errorf("%w: %s to %s", ErrBusy, s.Operation.Kind, s.Operation.To)
		}
		if s.Quarantined(op.From) {
			return fmt.Errorf("cannot begin from %s: it was given up, and %s boots", op.From, s.Current)
		}
		s.Operation = &op
		return nil
	})
}

// Advance records how far the operation came.
func (v *Volume) Advance(phase string) error {
	return v.uncommitted(func(s *State) { s.Operation.Phase = phase })
}

// Commit is the one write that decides what boots from now on. The operation stays until Finish, so that the
// rest is done after a crash as well. A release that is proven was booted for the operation, and ran well.
func (v *Volume) Commit(proven bool) error {
	return v.uncommitted(func(s *State) {
		op := s.Operation
		returns := op.To == s.Left
		s.activate(op.To)
		if proven {
			s.prove(op.To)
		}
		s.Previous, s.Via = op.From, op.Via // what ran, also where that was not what should have booted
		if op.Kind == KindRollback && !returns {
			s.Left = op.From
		}
		op.Phase = PhaseCommitted
	})
}

// Finish ends a committed operation.
func (v *Volume) Finish() error {
	return v.update(func(s *State) error {
		if s.Operation == nil {
			return ErrNoOperation
		}
		s.Operation = nil
		return nil
	})
}

// Want ends an operation that was to unpack its target and no more: the release stays, as somebody wants it for later.
func (v *Volume) Want() error {
	return v.uncommitted(func(s *State) {
		if r, there := s.Releases[s.Operation.To]; there && r.Permanent.IsZero() {
			r.Wanted = true
			s.Releases[r.Version] = r
		}
		s.Operation = nil
	})
}

// Abort ends an operation that is not committed; a failure is recorded for its target, which is in quarantine then where the failure
// names its package, or one before it did. A relup that was placed for it is taken away before: no operation may use it for which
// nobody has allowed that.
func (v *Volume) Abort(failed *Failure) error {
	if err := v.takeRelupAway(); err != nil {
		return err
	}
	return v.uncommitted(func(s *State) {
		if failed != nil {
			before, why := s.Failed[s.Operation.To], *failed
			why.Boots = before.Boots
			if before.Package != "" && (why.Package == "" || why.Package == before.Package) {
				why.Package, why.At = before.Package, before.At // since when it is in quarantine
			}
			s.Failed[s.Operation.To] = why
			s.avoidQuarantine()
		}
		s.Operation = nil
	})
}

// Seed makes a published release the one that boots, and remembers the digest of the package that brought it.
// That may be another one than the release came from: two builds of one release differ in their times.
func (v *Volume) Seed(version, digest string) error {
	if _, err := v.known(version); err != nil {
		return fmt.Errorf("cannot seed the volume: %w", err)
	}
	return v.update(func(s *State) error {
		s.activate(version)
		s.remember(digest)
		return nil
	})
}

// RememberSeed notes that a package was seen as a seed, and changes nothing else.
func (v *Volume) RememberSeed(digest string) error {
	return v.update(func(s *State) error {
		s.remember(digest)
		return nil
	})
}

func (s *State) remember(seed string) {
	if !slices.Contains(s.Seeds, seed) {
		s.Seeds = append(s.Seeds, seed)
	}
}

// activate makes a release the one that boots. Where it was that already, what is known of the way to it stays true.
func (s *State) activate(version string) {
	if s.Current != version {
		s.Previous, s.Via, s.Left = s.Current, nil, ""
	}
	s.Current = version
	r := s.Releases[version]
	r.Wanted = false
	r.Unproven = r.Unproven || r.Permanent.IsZero() || s.Quarantined(version)
	r.forgetBoots()
	r.Permanent = time.Now().UTC()
	s.Releases[version] = r
	delete(s.Failed, version)
}

func (v *Volume) uncommitted(change func(*State)) error {
	return v.update(func(s *State) error {
		if s.Operation == nil {
			return ErrNoOperation
		}
		if s.Operation.Phase == PhaseCommitted {
			return ErrCommitted
		}
		change(s)
		return nil
	})
}

// update writes the changed state, and believes it only when it is on the disk.
func (v *Volume) update(change func(*State) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.st.clone()
	if err := change(&next); err != nil {
		return err
	}
	next.Generation++
	next.Schema = next.least()
	if err := v.writeState(next); err != nil {
		return errors.Join(fmt.Errorf("cannot record the state: %w", err), v.restoreState(next))
	}
	v.st, v.unsure = next, false
	return nil
}

// restoreState takes a state back that could not be made durable and is in place all the same: what is believed and what
// the next agent reads must be one.
func (v *Volume) restoreState(refused State) error {
	content, err := encodeState(refused)
	if err != nil || !holds(v.disk, v.statePath(), content) {
		return err
	}
	if err := v.writeState(v.st); err != nil {
		v.unsure = true
		return fmt.Errorf("cannot take it back, the next start may find it: %w", err)
	}
	return nil
}

// assertState writes what is believed once more where another state may be on the disk. Nothing is deleted before that,
// since the other one may need it.
func (v *Volume) assertState() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.unsure {
		return nil
	}
	if err := v.writeState(v.st); err != nil {
		return fmt.Errorf("cannot record the state: %w", err)
	}
	v.unsure = false
	return nil
}
