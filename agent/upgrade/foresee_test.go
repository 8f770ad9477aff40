package upgrade

import (
	"bytes"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
)

// foresee stages a package, as a plan does on a bench of its own, and has the engine look ahead.
func (s *stage) foresee(pkg files) Prospect {
	s.t.Helper()
	kept, err := s.volume.Receive(s.t.Context(), bytes.NewReader(pkg.pack(s.t)), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	staged, err := s.volume.Stage(s.t.Context(), kept, "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.engine.Foresee(s.t.Context(), Question{From: s.volume.State().Current, To: staged.Release, Staged: staged})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := staged.Discard(); err != nil {
		s.t.Error(err)
	}
	if err := s.volume.Discard(kept); err != nil {
		s.t.Error(err)
	}
	return p
}

// comesTo is the code of a prospect's first reason, or nothing where it goes on in service.
func (p Prospect) comesTo() string {
	for _, reasons := range [][]*api.Error{p.Refusals, p.NoWay} {
		if len(reasons) > 0 {
			return reasons[0].Code
		}
	}
	if p.Restarts {
		return api.CodeNeedsRestart
	}
	return ""
}

func TestWhatIsForeseenIsWhatTheEngineDoes(t *testing.T) {
	restarting := demo("1.1.0", "").with("releases/1.1.0/relup", `{"1.1.0",[{"1.0.0",[],[restart_emulator]}],[]}.`)
	for about, c := range map[string]struct {
		on      []files
		pkg     files
		refuses bool // older versions
		hops    int
		back    bool
	}{
		"a relup leads there":    {on: []files{demo("1.0.0", "")}, pkg: demo("1.1.0", "1.0.0"), hops: 1, back: true},
		"none does":              {on: []files{demo("1.0.0", "")}, pkg: demo("1.1.0", "0.9.0")},
		"it has none":            {on: []files{demo("1.0.0", "")}, pkg: demo("1.1.0", "")},
		"two lead down":          {on: []files{demo("1.0.0", ""), demo("1.1.0", "1.0.0"), demo("1.2.0", "1.1.0")}, pkg: demo("1.0.0", ""), hops: 2, back: true},
		"it is older":            {on: []files{demo("1.0.0", ""), demo("1.1.0", "1.0.0")}, pkg: demo("1.0.0", ""), refuses: true, hops: 1, back: true},
		"it is what runs":        {on: []files{demo("1.0.0", "")}, pkg: demo("1.0.0", "")},
		"it runs, with more":     {on: []files{demo("1.0.0", "")}, pkg: demo("1.0.0", "").with("lib/demo-1.0.0/more", "x")},
		"it restarts the system": {on: []files{demo("1.0.0", "")}, pkg: restarting, hops: 1},
	} {
		t.Run(about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, "", c.on...)
				s.engine.RefuseDowngrade = c.refuses
				before := readDisk(t, s.volume)
				p := s.foresee(c.pkg)
				if after := readDisk(t, s.volume); len(after) != len(before) {
					t.Errorf("there were %d files, and are %d", len(before), len(after))
				}
				if len(p.Hops) != c.hops || c.hops > 0 && p.Back != c.back {
					t.Errorf("%d relups lead there, back: %v", len(p.Hops), p.Back)
				}
				s.upgrade(c.pkg)
				done := ""
				if e := s.result().Error; e != nil {
					done = e.Code
				}
				if got := p.comesTo(); got != done {
					t.Errorf("foreseen is %q, done was %q", got, done)
				}
			})
		})
	}
}

func TestARelupThatCanBeMadeIsForeseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		made := s.derives()
		p := s.foresee(demo("1.1.0", ""))
		if *made != 1 || p.Derived == nil || len(p.Hops) != 1 || p.Back || p.comesTo() != "no-relup" {
			t.Errorf("%d were made: %+v", *made, p)
		}
		s.upgrade(demo("1.1.0", ""))
		s.ends("probation: committed, 1.1.0 runs")
	})
}
