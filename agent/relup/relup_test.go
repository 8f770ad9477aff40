package relup

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"theseus/signals"
)

// The modules of an application that the tests change.
const (
	server = `-module(server). -behaviour(gen_server). -compile([export_all, nowarn_export_all]).
		start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
		init([]) -> {ok, 0}. handle_call(_, _, S) -> {reply, S, S}. handle_cast(_, S) -> {noreply, S}.`
	changes = ` code_change(_, S, _) when is_integer(S) -> {ok, {S, new}}.`
	same    = ` code_change(_, State, _) -> {ok, State}.`
	top     = `-module(top). -behaviour(supervisor). -export([start_link/0, init/1]).
		start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).
		init([]) -> {ok, {#{}, [#{id => server, start => {server, start_link, []}}MORE]}}.`
	library = `-module(library). -export([f/0]). f() -> 1.`
	caller  = `-module(caller). -export([g/0]). g() -> library:f().`
	starter = `-module(starter). -behaviour(application). -export([start/2, stop/1]). start(_, _) -> top:start_link(). stop(_) -> ok.`
	loop    = `-module(loop). -export([init/1, f/0, system_code_change/4]).
		init(_) -> receive stop -> ok end. f() -> 1. system_code_change(State, _, _, _) -> {ok, State}.`
	native = `-module(native). -export([h/0]). -on_load(load/0). load() -> erlang:load_nif("x", 0), ok. h() -> 1.`
)

// with is a module whose text has changed.
func with(text, old, new string) string { return strings.Replace(text, old, new, 1) }

func sup(children string) string { return with(top, "MORE", children) }

func TestWhatChangesInAnApplicationBecomesInstructions(t *testing.T) {
	base := modules{"server": server, "top": sup(""), "library": library, "caller": caller, "starter": starter}
	for name, test := range map[string]struct {
		old, new modules
		want     string // the instructions
	}{
		"nothing":                       {base, base, ``},
		"a library":                     {base, base.with("library", with(library, "1", "2")), `{load_module,library,soft_purge,soft_purge,[]}`},
		"a library and caller":          {base, base.with("library", with(library, "1", "2")).with("caller", with(caller, "f()", "f() + 1")), `{load_module,caller,soft_purge,soft_purge,[library]},{load_module,library,soft_purge,soft_purge,[]}`},
		"a new one":                     {base, base.with("more", with(library, "library", "more")), `{load_module,more,soft_purge,soft_purge,[]}`},
		"one less":                      {base, base.without("caller"), `{remove,{caller,soft_purge,soft_purge}}`},
		"a state":                       {base, base.with("server", server+changes), `{update,server,{advanced,[]},soft_purge,soft_purge,[]}`},
		"no state":                      {base, base.with("server", with(server, "{reply, S, S}", "{reply, {is, S}, S}")), `{load_module,server,soft_purge,soft_purge,[]}`},
		"no state to migrate":           {base.with("server", server+same), base.with("server", with(server, "{noreply, S}", "{noreply, S, 9}")+same), `{load_module,server,soft_purge,soft_purge,[]}`},
		"a special process":             {base.with("loop", loop), base.with("loop", with(loop, "f() -> 1", "f() -> 2")), `{load_module,loop,soft_purge,soft_purge,[]}`},
		"its state":                     {base.with("loop", loop), base.with("loop", with(loop, "{ok, State}", "{ok, {State, new}}")), `{update,loop,{advanced,[]},soft_purge,soft_purge,[]}`},
		"how an application is stopped": {base, base.with("starter", with(starter, "stop(_) -> ok", "stop(_) -> done")), `{load_module,starter,soft_purge,soft_purge,[]}`},
		"a new child": {
			base, base.with("top", sup(", #{id => other, start => {server, start_link, []}}")),
			`{update,top,static,default,{advanced,[]},soft_purge,soft_purge,[]},{apply,{supervisor,restart_child,[top,other]}}`,
		},
		"a child less": {
			base.with("top", sup(", #{id => {other,1}, start => {server, start_link, []}}")), base,
			`{update,top,static,default,{advanced,[]},soft_purge,soft_purge,[]},{apply,{supervisor,terminate_child,[top,{other,1}]}},{apply,{supervisor,delete_child,[top,{other,1}]}}`,
		},
		"another intensity": {base, base.with("top", with(sup(""), "#{}", "#{intensity => 5}")), `{update,top,static,default,{advanced,[]},soft_purge,soft_purge,[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, err := make2(t, test.old, test.new)
			if err != nil {
				t.Fatal(err)
			}
			want := `{"2",[{"1",[` + test.want + "]}],[]}."
			if got := strings.NewReplacer("\n", "", " ", "").Replace(made.Derived["app"]); got != want {
				t.Errorf("the appup is\n%s\nwant\n%s", got, want)
			}
			if !strings.Contains(string(made.Relup), `{"2.0.0"`) {
				t.Errorf("the relup is\n%s", made.Relup)
			}
			for _, kills := range []string{"brutal_purge", "{purge,"} {
				if strings.Contains(string(made.Relup), kills) {
					t.Errorf("the relup has %s:\n%s", kills, made.Relup)
				}
			}
		})
	}
}

func TestWhatCannotBeDerivedSafelySaysWhy(t *testing.T) {
	base := modules{"server": server, "top": sup(""), "starter": starter, "native": native}
	for name, test := range map[string]struct {
		new  modules
		want string
	}{
		"native code":      {base.with("native", with(native, "h() -> 1", "h() -> 2")), "native has native code"},
		"native code gone": {base.without("native"), "native, which is gone, has native code"},
		"another kind":     {base.with("server", library2("server")), "server has become another kind of process"},
		"the start":        {base.with("starter", with(starter, "-> top:start_link()", "-> application:set_env(app, x, 1), top:start_link()")), "starter, which starts it, has changed"},
		"another state":    {base.with("server", with(server, "{ok, 0}", "{ok, #{}}")+same), "server begins with another state than it did"},
		"begun but once":   {base.with("top", with(sup(""), "init([]) -> ", "init([]) -> ets:new(top, [named_table]), ")), "the supervisor top cannot begin again in its process"},
		"another child":    {base.with("top", with(sup(""), "=> {server, start_link, []}", "=> {server, start_link, []}, type => supervisor")), "the child server of top has become another one"},
		"another start":    {base.with("top", with(sup(""), "{server, start_link, []}", "{server, start_link, [5]}")), "the child server of top is started otherwise"},
		"begun in vain":    {base.with("top", with(sup(""), "init([]) -> ", "init([]) -> receive go -> ok end, ")), "what the supervisor top starts is not known: its init/1 does not come to an end"},
		"an argument":      {base.with("top", with(sup(""), "init([])", "init({only, this})")), "what the supervisor top starts is not known without its argument"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := make2(t, base, test.new)
			var none *UnderivableError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestASupervisorThatIsNotKnownByANameIsToldNothing(t *testing.T) {
	nameless := func(text string) string { return with(text, "{local, ?MODULE}, ?MODULE", "?MODULE") }
	old := modules{"server": server, "top": nameless(sup(""))}
	_, err := make2(t, old, old.with("top", nameless(sup(", #{id => other, start => {server, start_link, []}}"))))
	if err == nil || !strings.Contains(err.Error(), "starts other children, and is not known by a name") {
		t.Error(err)
	}
}

// The names of others in its module are not its own.
func TestOnlyTheNameThatASupervisorStartsUnderIsItsName(t *testing.T) {
	const worker = ", #{id => cache, start => {gen_server, start_link, [{local, cache}, cache, [], []]}}"
	mix := func(options string) string {
		return strings.NewReplacer("behaviour(supervisor)", "behaviour('Elixir.Supervisor')", "supervisor:start_link({local, ?MODULE}, ?MODULE, [])", "'Elixir.Supervisor':start_link("+options+")").Replace(top)
	}
	for name, test := range map[string]struct{ text, want string }{
		"its own, and a child's": {top, "top"},
		"a child's":              {with(top, "{local, ?MODULE}, ?MODULE", "?MODULE"), ""},
		"another supervisor's":   {with(top, "({local, ?MODULE}, ?MODULE", "({local, below}, below"), ""},
		"one of two":             {with(top, "start_link() ->", "start_link() -> supervisor:start_link(?MODULE, []),"), ""},
		"not for this node":      {with(top, "local", "global"), ""},
		"Elixir's":               {mix("?MODULE, [], [{timeout, 9}, {name, here}]"), "here"},
		"Elixir's, without":      {mix("?MODULE, []"), ""},
		"Elixir's, none":         {mix("?MODULE, [], [{name, nil}]"), ""},
		"Elixir's, of others":    {mix("[], [{strategy, one_for_one}, {name, there}]"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := modules{"server": server, "top": with(test.text, "MORE", worker)}
			made, err := make2(t, old, old.with("top", with(test.text, "MORE", worker+", #{id => other, start => {server, start_link, []}}")))
			switch {
			case test.want == "":
				if err == nil || !strings.Contains(err.Error(), "is not known by a name") {
					t.Errorf("got %v\n%v", err, made.Derived)
				}
			case err != nil || !strings.Contains(made.Derived["app"], "{supervisor,restart_child,["+test.want+",other]}"):
				t.Errorf("got %v\n%v", err, made.Derived)
			}
		})
	}
}

// A supervisor takes up what it would start now, and looks for what runs where it would have put that.
func TestASupervisorThatWouldLoseItsChildrenSaysWhy(t *testing.T) {
	const lost = "the supervisor top begins or ceases to be a simple_one_for_one, and would not find the children that run"
	static := modules{"server": server, "top": sup("")}
	dynamic := static.with("top", with(sup(""), "#{}", "#{strategy => simple_one_for_one}"))
	once := static.with("top", with(sup(""), "init([]) -> ", "init([]) -> ets:new(top, [named_table]), "))
	mix := func(kind, flags string) modules {
		return static.with("top", with(with(sup(""), "behaviour(supervisor)", "behaviour('Elixir."+kind+"')"), "#{}", flags))
	}
	for name, test := range map[string]struct {
		old, new modules
		want     string
	}{
		"static, dynamic":             {static, dynamic, lost},
		"dynamic, static":             {dynamic, static, lost},
		"Elixir's":                    {mix("Supervisor", "#{}"), mix("DynamicSupervisor", "#{intensity => 5}"), "top has become another kind of process"},
		"Elixir's, the other way":     {mix("DynamicSupervisor", "#{intensity => 5}"), mix("Supervisor", "#{}"), "top has become another kind of process"},
		"what it started is unknown":  {once, static, "what the supervisor top has started is not known: its init/1 fails where it runs again"},
		"what it starts is not begun": {static, once, "the supervisor top cannot begin again in its process"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, err := make2(t, test.old, test.new)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q\n%v", err, test.want, made.Derived)
			}
		})
	}
}

func TestADynamicSupervisorIsUpdated(t *testing.T) {
	old := modules{"server": server, "top": with(sup(""), "#{}", "#{strategy => simple_one_for_one}")}
	made, err := make2(t, old, old.with("top", with(old["top"], "=> simple_one_for_one", "=> simple_one_for_one, intensity => 5")))
	if err != nil || !strings.Contains(made.Derived["app"], "{update,top,static,default,{advanced,[]},soft_purge,soft_purge,[]}") {
		t.Errorf("got %v\n%v", err, made.Derived)
	}
}

func TestWhatSystoolsMakesNoRelupOfSaysWhy(t *testing.T) {
	old, new := modules{"library": library}, modules{"library": with(library, "1", "2")}
	new["app.appup"] = `{"2",[{"1",[{load_module, not_there}]}],[]}.`
	_, err := make2(t, old, new)
	var none *UnderivableError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "not_there") {
		t.Error(err)
	}
}

func library2(name string) string { return with(library, "library", name) }

func TestAnAppupThatIsThereIsUsedAlsoWithARegularExpression(t *testing.T) {
	for _, from := range []string{`"1"`, `<<"[01]">>`} {
		old, new := modules{"library": library}, modules{"library": with(library, "1", "2")}
		new["app.appup"] = `{"2",[{` + from + `,[{load_module,library,brutal_purge,brutal_purge,[]}]}],[]}.`
		made, err := make2(t, old, new)
		if err != nil || len(made.Derived) > 0 || !strings.Contains(string(made.Relup), "brutal_purge") {
			t.Errorf("%s: %v, derived %v\n%s", from, err, made.Derived, made.Relup)
		}
	}
}

func TestAnAppupForAnotherVersionIsNone(t *testing.T) {
	old, new := modules{"library": library}, modules{"library": with(library, "1", "2")}
	new["app.appup"] = `{"2",[{"0",[{load_module,library}]}],[]}.`
	made, err := make2(t, old, new)
	if err != nil || made.Derived["app"] == "" {
		t.Errorf("%v, derived %v", err, made.Derived)
	}
}

// make2 makes the relup from 1.0.0 to 2.0.0, of an application in the versions 1 and 2.
func make2(t *testing.T, old, new modules) (Made, error) {
	t.Helper()
	return makeIn(t.Context(), t, t.TempDir(), old, new)
}

func makeIn(ctx context.Context, t *testing.T, dir string, old, new modules) (Made, error) {
	t.Helper()
	otp := image(t)
	init, err := signals.New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	packages := [2]string{pack(t, otp, "1", old), pack(t, otp, "2", new)}
	return Packages(ctx, dir, otp, init, packages)
}

// A record that the process begins with decides, not one that its file only mentions.
func TestARecordOfTheStateIsTheState(t *testing.T) {
	const text = `-module(server). -behaviour(gen_server). -compile([export_all, nowarn_export_all]). -record(state, {a = 0}). -record(other, {b}).
		init([]) -> {ok, new()}. new() -> #state{}. handle_call(_, _, S) -> {reply, #other{}, S}. handle_cast(_, S) -> {noreply, S}.`
	old := modules{"server": text}
	if _, err := make2(t, old, old.with("server", with(text, "a = 0", "a = 0, c"))); err == nil || !strings.Contains(err.Error(), "server begins with another state") {
		t.Error(err)
	}
	if _, err := make2(t, old, old.with("server", with(text, "{b}", "{b, d}"))); err != nil {
		t.Error(err)
	}
}

// A state is begun wherever a process comes through before its first event, and not where it comes later.
func TestAStateIsAlsoBegunBehindInit(t *testing.T) {
	const later = `-module(server). -behaviour(gen_server). -compile([export_all, nowarn_export_all]).
		init([]) -> {ok, none, {continue, load}}. handle_continue(load, none) -> {noreply, first()}. first() -> 0.
		handle_call(_, _, S) -> {reply, S, S}. handle_cast(_, S) -> {noreply, S}.`
	const machine = `-module(server). -behaviour(gen_statem). -compile([export_all, nowarn_export_all]).
		callback_mode() -> [state_functions, state_enter]. init([]) -> {ok, up, none, [{next_event, internal, load}]}.
		up(enter, _, D) -> {keep_state, {entered, D}}; up(internal, load, D) -> {keep_state, {begun, D}}; up(cast, E, _) -> {keep_state, E}.`
	const handler = `-module(server). -behaviour(gen_statem). -compile([export_all, nowarn_export_all]).
		callback_mode() -> handle_event_function. init([]) -> {ok, up, none, [{next_event, internal, load}]}.
		handle_event(internal, load, _, D) -> {keep_state, {begun, D}}; handle_event(cast, E, _, _) -> {keep_state, E}.`
	for name, test := range map[string]struct {
		text, old, new string
		refused        bool
	}{
		"continued":             {later, "first() -> 0", "first() -> #{}", true},
		"called":                {later, "{reply, S, S}", "{reply, {is, S}, S}", false},
		"entered":               {machine, "{entered, D}", "{entered, now, D}", true},
		"told by itself":        {machine, "{begun, D}", "{begun, now, D}", true},
		"told by others":        {machine, "{keep_state, E}", "{keep_state, {is, E}}", false},
		"another mode":          {machine, "state_functions, state_enter", "state_functions", true},
		"handled, by itself":    {handler, "{begun, D}", "{begun, now, D}", true},
		"handled, from another": {handler, "{keep_state, E}", "{keep_state, {is, E}}", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := modules{"server": test.text}
			made, err := make2(t, old, old.with("server", with(test.text, test.old, test.new)))
			if refused := err != nil && strings.Contains(err.Error(), "server begins with another state"); refused != test.refused || !refused && err != nil {
				t.Errorf("got %v\n%v", err, made.Derived)
			}
		})
	}
}

// Another compiler makes other code of the same text, as other options do.
func TestWhatWasOnlyCompiledAnewIsLoadedWhateverItIs(t *testing.T) {
	old := modules{"server": server, "top": with(sup(""), "init([]) -> ", "init([]) -> ets:new(top, [named_table]), "), "starter": starter}
	anew := modules{}
	for name, text := range old {
		anew[name] = with(text, "-module("+name+").", "-module("+name+").\n\n\n -compile([no_line_info]).")
	}
	made, err := make2(t, old, anew)
	if err != nil {
		t.Fatal(err)
	}
	if appup := made.Derived["app"]; strings.Count(appup, "{load_module,") != len(old) {
		t.Errorf("the appup is\n%s", appup)
	}
}
