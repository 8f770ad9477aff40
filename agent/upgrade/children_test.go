package upgrade

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"theseus/agent/api"
	"theseus/rpc/term"
)

// withTill has the relup start a child.
func withTill(pkg files) files {
	relup := "releases/1.1.0/relup"
	return pkg.with(relup, strings.ReplaceAll(pkg[relup], "{resume,[demo,demo_conn]}", "{resume,[demo,demo_conn]},{apply,{supervisor,restart_child,[demo_sup,till]}}"))
}

// aChild are upgrades whose relup has a supervisor start a child.
var aChild = []story{
	{"", "probation: committed, 1.1.0 runs"},
	{"which_children:undefined", "installing: reverted child-not-started, 1.0.0 runs"},
	{"which_children:restarting", "installing: reverted child-not-started, 1.0.0 runs"},
	{"which_children:undefined get_childspec:transient", "probation: committed, 1.1.0 runs"},
	{"which_children:undefined restart_child:ignored", "probation: committed, 1.1.0 runs"},
	{"which_children:undefined restart_child:running", "probation: committed, 1.1.0 runs"},
	{"which_children:error", "probation: committed, 1.1.0 runs, warned"},
	{"which_children:lost", "probation: committed, 1.1.0 runs"},
	{"which_children:hang", "probation: committed, 1.1.0 runs, warned"},
	{"which_children:end", "installing: reverted node-ended, 1.0.0 runs after a restart"},
	{"which_children:stop", "installing: interrupted stopping, 1.1.0 runs, left installing"},
	{"which_children:undefined restart_child:error", "probation: committed, 1.1.0 runs, warned"},
}

func TestAChildThatDoesNotStartIsAnUpgradeThatDoesNot(t *testing.T) {
	for _, c := range aChild {
		t.Run(c.script, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, c.script, demo("1.0.0", ""))
				s.upgrade(withTill(demo("1.1.0", "1.0.0")))
				s.ends(c.want)
				told := "the child till of supervisor demo_sup does not start: {already_there,shop_sold}"
				if e := s.result().Error; e != nil && e.Code == api.CodeChildNotStarted && e.Message != told {
					t.Errorf("it says %q", e.Message)
				}
			})
		})
	}
}

func TestAChildIsNoReasonAgainstARollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, "", demo("1.0.0", ""))
		s.upgrade(withTill(demo("1.1.0", "1.0.0")))
		s.ends("probation: committed, 1.1.0 runs")
		s.again("which_children:undefined")
		s.rollback(api.RollbackRequest{})
		s.ends("probation: committed, 1.0.0 runs, warned")
	})
}

func TestWhoIsStartedByARelup(t *testing.T) {
	const start, startB = "{apply,{supervisor,restart_child,[top,a]}}", "{apply,{supervisor,restart_child,[top,{b,1}]}}"
	const end, remove = "{apply,{supervisor,terminate_child,[top,a]}}", "{apply,{supervisor,delete_child,[top,a]}}"
	const others = "{apply,{supervisor,restart_child,[top]}},{apply,{other,restart_child,[top,a]}},{load,{a,brutal_purge,brutal_purge}},restart_emulator"
	for _, c := range []struct {
		instructions []string
		want         string
	}{
		{[]string{start}, "[child a of supervisor top]"},
		{[]string{start, startB}, "[child a of supervisor top child {b,1} of supervisor top]"},
		{[]string{start, end, startB}, "[child {b,1} of supervisor top]"},
		{[]string{end, start}, "[child a of supervisor top]"},
		{[]string{end, remove}, "[]"},
		{[]string{others}, "[]"},
	} {
		parsed, err := term.ParseOne([]byte("[" + strings.Join(c.instructions, ",") + "]"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(startedChildren(parsed.(term.List))); got != c.want {
			t.Errorf("%s: %s, want %s", c.instructions, got, c.want)
		}
	}
}
