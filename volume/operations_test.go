package volume

import (
	"errors"
	"time"
)

// operation is what is crashed: where it begins, and what it does.
type operation struct {
	name string
	from func(r *run) error // brings a blank volume to where it begins; nil for a volume that was never opened
	do   func(r *run) error
}

// operations are all that can change a volume. What each begins with is durable.
var operations = []operation{
	{"first open", nil, func(*run) error { return nil }},
	{"first note", nil, (*run).history},
	{"start", upgraded, (*run).startOnce},
	{"receive", seededVolume, func(r *run) error {
		_, err := r.receive("1.1.0")
		return err
	}},
	{"receive what is kept", seededVolume, func(r *run) error {
		_, err := r.receive("1.0.0")
		return err
	}},
	{"discard a package", received, func(r *run) error { return r.v.Discard(Package{Digest: digestOf(r.w.packages["1.1.0"])}) }},
	{"restore a file", damagedFile, (*run).repair},
	{"restore all", damagedAll, (*run).repair},
	{"unpack", seededVolume, func(r *run) error { return r.unpack("1.1.0", opTo("1.1.0")) }},
	{"unpack over debris", withDebris, func(r *run) error { return r.unpack("1.1.0", opTo("1.1.0")) }},
	{"want for later", unpacked, func(r *run) error { return r.v.Want() }},
	{"advance and commit", unpacked, func(r *run) error { return r.commit("1.1.0") }},
	{"abort", unpacked, func(r *run) error { return r.takeBack("1.0.0", "1.1.0") }},
	{"commit with a relup", wanted, func(r *run) error {
		err := r.placeLater()
		if err == nil {
			err = r.commitTarget()
		}
		if err == nil {
			err = r.v.Finish()
		}
		return err
	}},
	{"take a relup away", placed, func(r *run) error { return r.v.Abort(nil) }},
	{"place a relup over another", replaceable, (*run).placeLater},
	{"bring a relup back", replaced, func(r *run) error { return r.v.Abort(nil) }},
	{"rollback", upgraded, func(r *run) error {
		err := r.v.Begin(*back)
		if err == nil {
			_, err = r.v.Repair("1.0.0")
		}
		return errors.Join(err, r.v.Link(r.w.image, "1.0.0"), r.commit("1.0.0"))
	}},
	{"remove", twiceUpgraded, func(r *run) error { return r.v.Remove("1.0.0") }},
	{"collect", withDebris, func(r *run) error {
		_, err := r.v.Recover()
		return err
	}},
	{"derive", torn, func(r *run) error { return r.v.Derive("1.0.0") }},
	{"history", seededVolume, func(r *run) error { return errors.Join(r.history(), r.history(), r.history()) }},
	{"turn the history", seededVolume, (*run).turnHistory},
	{"rewrite the history", seededVolume, func(r *run) error {
		r.v.historyLost = true
		return r.history()
	}},
	{"keep a report", reported, func(r *run) error { return errors.Join(r.report(laterID, laterReport), r.history()) }},
	{"keep a report anew", reported, func(r *run) error { return errors.Join(r.report(earlierID, laterReport), r.history()) }},
	{"remember a seed", seededVolume, func(r *run) error { return r.v.RememberSeed("digest") }},
	{"seed with OTP", blank, func(r *run) error {
		return errors.Join(r.unpack("2.0.0", nil), r.v.Seed("2.0.0", digestOf(r.w.packages["2.0.0"])))
	}},
	{"seed", blank, (*run).startOnce},
	{"count a boot", upgraded, func(r *run) error { return errors.Join(r.v.CountBoot("1.1.0", time.Now()), r.history()) }},
	{"discount a boot", counted, func(r *run) error { return r.v.DiscountBoot("1.1.0") }},
	{"prove", counted, func(r *run) error { return r.v.Prove("1.1.0") }},
	{"quarantine", spent, (*run).giveUp},
	{"start what is spent", spent, (*run).startOnce},
	{"remove from quarantine", quarantined, func(r *run) error { return r.v.Remove("1.1.0") }},
	{"upgrade out of quarantine", quarantined, func(r *run) error {
		return errors.Join(r.v.Begin(*opTo("1.1.0")), r.v.Link(r.w.image, "1.1.0"), r.v.Commit(false), r.v.Finish())
	}},
}

func opTo(version string) *Operation {
	return &Operation{ID: "u", Kind: "upgrade", From: "1.0.0", To: version, Phase: "unpacked"}
}

var back = &Operation{ID: "r", Kind: "rollback", From: "1.1.0", To: "1.0.0", Phase: "unpacked"}

// Relups that were derived for 1.1.0.
const earlierRelup, laterRelup = `{"1.1.0",[],[]}.`, `{"1.1.0",[{"1.0.0",[],[]}],[]}.`

func blank(*run) error { return nil }

func (r *run) startOnce() error {
	_, err := r.start()
	return err
}

func seededVolume(r *run) error { return r.startOnce() }

func received(r *run) error {
	_, err := r.receive("1.1.0")
	return errors.Join(r.startOnce(), err)
}

func unpacked(r *run) error { return errors.Join(r.startOnce(), r.unpack("1.1.0", opTo("1.1.0"))) }

// wanted has what is about to be upgraded to unpacked already, so that it stays whatever becomes of that.
func wanted(r *run) error { return errors.Join(unpacked(r), r.v.Want(), r.v.Begin(*opTo("1.1.0"))) }

func placed(r *run) error { return errors.Join(wanted(r), r.placeLater()) }

// replaceable has a relup from an upgrade before.
func replaceable(r *run) error {
	return errors.Join(wanted(r), r.place(earlierRelup), r.commit("1.1.0"), r.v.Begin(*back), r.commit("1.0.0"), r.v.Begin(*opTo("1.1.0")))
}

func replaced(r *run) error { return errors.Join(replaceable(r), r.placeLater()) }

func (r *run) placeLater() error { return r.place(laterRelup) }

func (r *run) place(text string) error {
	r.relups.gets = text
	return r.v.PlaceRelup([]byte(text))
}

// Reports, and the ids that they are kept under.
const (
	earlierID, earlierReport = "20260102-150405-0a0a", `{"steps":[]}`
	laterID, laterReport     = "20260102-150406-0a0a", `{"steps":["checked"],"result":{"outcome":"committed"}}`
)

func reported(r *run) error {
	return errors.Join(r.startOnce(), r.report(earlierID, earlierReport))
}

// report keeps one, on which people may rely then.
func (r *run) report(id, text string) error {
	err := r.v.StoreReport(id, []byte(text))
	switch {
	case err != nil:
	case id == earlierID:
		r.kept.earlier = text
	default:
		r.kept.later = text
	}
	return err
}

func upgraded(r *run) error { return errors.Join(r.startOnce(), r.upgrade("1.0.0", "1.1.0")) }

func counted(r *run) error { return errors.Join(upgraded(r), r.v.CountBoot("1.1.0", time.Now())) }

func spent(r *run) error {
	return errors.Join(counted(r), r.v.CountBoot("1.1.0", time.Now()), r.v.CountBoot("1.1.0", time.Now()))
}

func quarantined(r *run) error { return errors.Join(spent(r), r.startOnce()) }

func twiceUpgraded(r *run) error { return errors.Join(upgraded(r), r.upgrade("1.1.0", "1.2.0")) }

// withDebris has an application and a release of the next version that nobody has recorded, one of them with other content.
func withDebris(r *run) error {
	s := r.v.step("test")
	return errors.Join(r.startOnce(),
		s.makeDir(r.v.Path("lib/demo-1.1.0/ebin"), 0o755),
		s.writeFile(r.v.Path("lib/demo-1.1.0/ebin/demo.beam"), []byte("half"), 0o644, closeUnsynced),
		s.makeDir(r.v.Path("releases/1.1.0"), 0o755),
		s.writeFile(r.v.Path("releases/1.1.0/start.boot"), nil, 0o644, closeUnsynced),
		s.makeDir(r.v.agentPath("stage/x/lib"), 0o755),
		s.makeDir(r.v.agentPath("trash/x/lib"), 0o755),
		s.writeFile(r.v.agentPath(".state.json.tmp"), []byte("{"), 0o600, closeUnsynced),
		s.writeFile(r.v.agentPath("packages/x.part"), []byte("half"), 0o600, closeUnsynced),
	)
}

func damagedFile(r *run) error {
	err := r.startOnce()
	n, findErr := r.disk.find(r.v.Path("lib/demo-1.0.0/ebin/demo.beam"))
	if findErr == nil {
		n.data, r.damaged = nil, true
		n.changed()
	}
	return errors.Join(err, findErr)
}

func damagedAll(r *run) error {
	return errors.Join(damagedFile(r),
		r.disk.RemoveAll("test", r.v.Path("lib/greet-1.0.0/ebin/greet.app")),
		r.disk.RemoveAll("test", r.v.ReleaseDir("1.0.0")))
}

func (r *run) repair() error {
	_, err := r.v.Repair("1.0.0")
	r.damaged = err != nil
	return err
}

func torn(r *run) error { return errors.Join(r.startOnce(), r.scribble("[{rel")) }

// turnHistory records a line that is durable with the next one, which begins a new file.
func (r *run) turnHistory() error {
	err := r.v.RecordHistory(map[string]int{"n": r.lines}, false)
	r.v.history = 1
	err = errors.Join(err, r.v.RecordHistory(map[string]int{"n": r.lines + 1}, true))
	r.v.history = historyBytes
	if err == nil {
		r.lines += 2
	}
	return errors.Join(err, r.history())
}
