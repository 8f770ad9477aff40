package rpc_test

import (
	"strings"
	"testing"
	"time"

	"theseus/rpc"
)

// vitals asks until the node has counted what is waited for, and fails with what it counted instead.
func vitals(t *testing.T, n *rpc.Node, counted func(rpc.Vitals) bool) rpc.Vitals {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		v, err := n.Vitals(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if counted(v) {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node counted %+v", v)
		}
	}
}

func run(t *testing.T, n *rpc.Node, source string) {
	t.Helper()
	if _, value, err := evaluate(t, n, rpc.ErlangJob(source), rpc.Line); err != nil {
		t.Fatalf("%s, %v", value, err)
	}
}

func TestANodeCountsWhatGoesWrong(t *testing.T) {
	n := startErlang(t).connect(t)
	if v, err := n.Vitals(t.Context()); err != nil || v.Counted || v.Memory < 1<<20 || v.Level != "notice" {
		t.Fatalf("before anybody counts: %+v, %v", v, err)
	}
	if err := n.CountVitals(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, n, `logger:warning("one"), logger:error("two"), logger:error("three"), logger:notice("not counted").`)
	run(t, n, `proc_lib:spawn(fun() -> error(on_purpose) end).`)
	run(t, n, `spawn(fun() -> error(on_purpose) end).`)
	vitals(t, n, func(v rpc.Vitals) bool {
		return v.Counted && v.Crashes == 2 && v.Logged["error"] == 4 && v.Logged["warning"] >= 1 // the node has warned by itself, too
	})

	run(t, n, `Dead = fun() -> {ok, spawn_link(fun() -> receive stop -> exit(on_purpose) end end)} end,
		Spec = #{id => child, start => {erlang, apply, [Dead, []]}},
		supervisor:start_child(kernel_safe_sup, Spec).`)
	for restarts := int64(1); restarts <= 2; restarts++ {
		run(t, n, `{_, P, _, _} = lists:keyfind(child, 1, supervisor:which_children(kernel_safe_sup)), P ! stop.`)
		vitals(t, n, func(v rpc.Vitals) bool { return v.Restarts == restarts })
	}

	if err := n.CountVitals(t.Context()); err != nil {
		t.Fatal(err)
	}
	vitals(t, n, func(v rpc.Vitals) bool {
		return v.Counted && v.Crashes == 0 && v.Restarts == 0 && v.Logged["error"] == 0
	})
	if err := n.ForgetVitals(t.Context()); err != nil {
		t.Fatal(err)
	}
	vitals(t, n, func(v rpc.Vitals) bool { return !v.Counted })
	run(t, n, `[] = maps:get(filters, logger:get_primary_config()).`)
}

func TestTheLongestMailboxIsNamedWithItsOwner(t *testing.T) {
	n := startErlang(t).connect(t)
	run(t, n, `P = spawn(fun() -> receive never -> ok end end), register(idler, P), [P ! N || N <- lists:seq(1, 1000)].`)
	if length, owner, err := n.Mailbox(t.Context()); err != nil || length != 1000 || owner != "idler" {
		t.Errorf("%d messages of %s, %v", length, owner, err)
	}
	run(t, n, `P = spawn(fun() -> timer:sleep(infinity) end), [P ! N || N <- lists:seq(1, 5000)].`)
	if length, owner, err := n.Mailbox(t.Context()); err != nil || length != 5000 || !strings.HasPrefix(owner, "<0.") {
		t.Errorf("%d messages of %s, %v", length, owner, err)
	}
}
