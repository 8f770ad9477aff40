package proof

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"theseus/agent/api"
	"theseus/integration/emulator"
	"theseus/rpc"
	"theseus/rpc/term"
)

// node is an emulator with sasl, as the agent would reach it.
type node struct {
	t    *testing.T
	conn *emulator.Node
}

func boot(t *testing.T) *node {
	t.Helper()
	return &node{t, emulator.Boot(t, "-boot", "start_sasl", "-kernel", "logger_level", "error")}
}

// eval evaluates expressions that must go well, and returns their value as JSON.
func (n *node) eval(source string) string {
	n.t.Helper()
	return n.conn.Value(n.t, source)
}

func (n *node) life() Life {
	return Life{
		PID: n.conn.PID, Since: time.Now(), Version: "1.0.0",
		Connect: func(context.Context) (Node, error) { return n.conn.Node, nil },
	}
}

// until waits for what expressions evaluate to.
func (n *node) until(want, source string) {
	n.t.Helper()
	last := ""
	eventually(n.t, func() bool { last = n.eval(source); return last == want }, func() string { return source + " is " + last + ", not " + want })
}

// eventually waits for a fact; without it the test ends with what is said.
func eventually(t *testing.T, fact func() bool, otherwise func() string) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(3 * time.Minute); !fact(); <-again.C {
		if time.Now().After(deadline) {
			t.Fatal(otherwise())
		}
	}
}

// module compiles and loads one, from its clauses.
func (n *node) module(name, source string) {
	n.t.Helper()
	n.eval(fmt.Sprintf(`{module, _} = code:load_binary(%s, "here", begin
		{ok, Tokens, _} = erl_scan:string("-module(%s). -compile(export_all). -compile(nowarn_export_all). " ++ %q),
		Split = fun Split([], [], Done) -> lists:reverse(Done);
		            Split([{dot, _} = D | Rest], Form, Done) -> Split(Rest, [], [lists:reverse([D | Form]) | Done]);
		            Split([T | Rest], Form, Done) -> Split(Rest, [T | Form], Done) end,
		{ok, _, Code} = compile:forms([begin {ok, F} = erl_parse:parse_form(Ts), F end || Ts <- Split(Tokens, [], [])]), Code end).`, name, name, source))
}

func TestAWitnessSeesWhatAnInstallationDoes(t *testing.T) {
	n := boot(t)
	n.module("srv", `init(N) -> {ok, N}. start(N) -> gen_server:start_link({local, N}, srv, N, []). handle_call(Fun, _, S) -> {reply, Fun(), S}. handle_cast(_, S) -> {noreply, S}. old() -> receive never -> old() end.`)
	n.module("sup", `init([]) -> {ok, {#{intensity => 10}, [#{id => N, start => {srv, start, [N]}} || N <- [one, two]]}}.`)
	n.eval(`spawn(fun() -> {ok, _} = supervisor:start_link({local, sup}, sup, []), receive never -> ok end end), ok.`)
	n.until(`true`, `is_pid(whereis(two)).`)
	traces := `{maps:get(filters, logger:get_primary_config()), length([P || P <- processes(), {_, {erl_eval, _, _}} <- [process_info(P, current_function)]]),
		erlang:trace_info(whereis(release_handler), flags), erlang:trace_info({release_handler_1, eval, 2}, traced)}.`
	r := NewRecord(api.Event{Upgrade: "u", Kind: "install.begun", Time: time.Now()})
	r.Look(t.Context(), "before", n.life())

	// Two processes will be in old code: one dies of the purge, the other ends before.
	old := `[P || P <- processes(), {_, {srv, old, 0}} <- [process_info(P, current_function)]]`
	n.eval(`[spawn(srv, old, []) || _ <- [1, 2]], ok.`)
	n.until(`2`, `length(`+old+`).`)
	n.eval(`register(lingers, hd(` + old + `)).`)
	n.eval(`true = code:delete(srv).`)
	n.module("srv", `init(N) -> {ok, N}. start(N) -> gen_server:start_link({local, N}, srv, N, []). handle_call(Fun, _, S) -> {reply, Fun(), S}. handle_cast(_, S) -> {noreply, S}.`)
	r.Look(t.Context(), "installed", n.life())
	n.eval(`exit(whereis(lingers), shutdown).`)
	n.until(`"undefined"`, `whereis(lingers).`)
	n.eval(`code:purge(srv).`)
	n.eval(`catch gen_server:call(one, fun() -> error({secret, "of the state"}) end), ok.`)
	n.eval(`spawn(fun() -> error(another_secret) end), ok.`)
	n.eval(`sys:replace_state(release_handler, fun(S) -> release_handler_1:eval_script([point_of_no_return, {suspend, [srv]}, {apply, {timer, sleep, [120]}}, {resume, [srv]}]), S end, 60000), ok.`)
	var seen look
	eventually(t, func() (all bool) {
		seen, _ = r.witness.look(t.Context())
		return seen.Purged >= 1 && seen.Crashes >= 2 && len(seen.Reports) >= 3 && len(seen.Instructions) >= 5 // the end of them, too
	}, func() string { return fmt.Sprintf("seen is %+v", seen) })
	r.Look(t.Context(), "end", n.life())
	report := r.Report()

	if got := report.Pictures[1].OldCode; len(got) != 1 || got[0] != (api.OldCode{Module: "srv", Processes: 2}) {
		t.Errorf("in old code are %v", got)
	}
	if got := report.Pictures[2].OldCode; len(got) != 0 {
		t.Errorf("in the end in old code are %v", got)
	}
	s := report.Seen
	if s.Crashes != 2 || s.Supervisors != 1 || s.Restarts != 1 || s.Purged != 1 {
		t.Errorf("seen is %+v", s)
	}
	said := strings.Join(s.Reports, "\n")
	for _, want := range []string{"crash of one: error secret in {erl_eval,do_apply}", "sup: child_terminated one: secret", "none of OTP's behaviours"} {
		if !strings.Contains(said, want) {
			t.Errorf("it lacks %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "of the state") {
		t.Errorf("it tells of the state:\n%s", said)
	}
	if len(s.Suspended) != 1 || s.Suspended[0].Module != "srv" || s.Suspended[0].Most < 120*time.Millisecond || s.Suspended[0].Most > s.Call {
		t.Errorf("suspended: %v of %v", s.Suspended, s.Call)
	}
	if len(s.Instructions) != 4 || s.Instructions[2].Text != "apply timer:sleep/1" || s.Instructions[2].Took < 120*time.Millisecond {
		t.Errorf("the instructions are %v", s.Instructions)
	}
	r.Close(t.Context())
	n.until(`[[],1,["flags",[]],["traced",false]]`, traces) // one process starts sessions
}

func TestConnectionsAreCountedFromOutside(t *testing.T) {
	n := boot(t)
	r := NewRecord(api.Event{Upgrade: "u", Kind: "install.begun", Time: time.Now()})
	n.eval(`spawn(fun() -> {ok, L} = gen_tcp:listen(0, [{ip, {127,0,0,1}}]), {ok, Port} = inet:port(L), put(l, L),
		put(s, [begin {ok, C} = gen_tcp:connect({127,0,0,1}, Port, []), {ok, S} = gen_tcp:accept(L), {C, S} end || _ <- [1, 2, 3]]), register(keeper, self()),
		receive {close, From} -> {C, S} = hd(get(s)), gen_tcp:close(C), gen_tcp:close(S), From ! closed, receive never -> ok end end end), ok.`)
	n.until(`true`, `is_pid(whereis(keeper)).`)
	r.Look(t.Context(), "before", n.life())
	n.eval(`keeper ! {close, self()}, receive closed -> ok end.`)
	var sockets []uint64
	eventually(t, func() bool { sockets, _ = established(n.conn.PID); return len(sockets) == 4 }, func() string { return fmt.Sprintf("it has %d", len(sockets)) })
	r.Look(t.Context(), "end", n.life())
	for i, want := range []string{"6 ? ?", "4 2 0"} {
		p := r.Report().Pictures[i]
		if got := number(p.Connections) + " " + number(p.Closed) + " " + number(p.Opened); got != want {
			t.Errorf("picture %d: %s, want %s", i, got, want)
		}
	}
	r.Close(t.Context())
}

// asked counts what a node is asked.
type asked struct {
	Node
	questions int
}

func (a *asked) Spawn(ctx context.Context, source string) (term.Term, error) {
	a.questions++
	return a.Node.Spawn(ctx, source)
}

func (a *asked) Do(ctx context.Context, job rpc.Job, print func([]byte) error) (*rpc.Value, error) {
	a.questions++
	return a.Node.Do(ctx, job, print)
}

func TestANodeThatDoesNotAnswerOnlyLeavesFieldsUnknown(t *testing.T) {
	n := boot(t)
	life, a := n.life(), &asked{Node: n.conn.Node}
	life.Connect = func(context.Context) (Node, error) { return a, nil }
	r := NewRecord(api.Event{Upgrade: "u", Kind: "install.begun", Time: time.Now()})
	r.Look(t.Context(), "before", life)
	if err := unix.Kill(n.conn.PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	r.Look(t.Context(), "installed", life)
	if waited := time.Since(begun); waited < watchTimeout {
		t.Errorf("it waits %v", waited)
	}
	questions := a.questions
	if r.Look(t.Context(), "end", life); a.questions != questions {
		t.Error("it is asked again")
	}
	p := r.Report().Pictures[2]
	if p.Processes != nil || p.Connections == nil || p.RSS == nil {
		t.Errorf("it is seen as %+v", p)
	}
}
