%% Owns the table of counters. Connections write to it directly, so that they need not wait for this
%% process while an upgrade holds it.
-module(demo_registry).
-behaviour(gen_server).

-export([start_link/0, increment/1, greeting/0, set_greeting/1]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec increment(binary()) -> pos_integer().
increment(Key) ->
    ets:update_counter(?MODULE, {counter, Key}, 1, {{counter, Key}, 0}).

-spec greeting() -> binary().
greeting() ->
    ets:lookup_element(?MODULE, greeting, 2).

-spec set_greeting(string()) -> true.
set_greeting(Text) ->
    ets:insert(?MODULE, {greeting, unicode:characters_to_binary(Text)}).

init([]) ->
    ?MODULE = ets:new(?MODULE, [named_table, public, {write_concurrency, true}]),
    {ok, Text} = application:get_env(demo, greeting),
    set_greeting(Text),
    {ok, []}.

handle_call(_Request, _From, State) ->
    {reply, {error, unknown}, State}.

handle_cast(_Request, State) ->
    {noreply, State}.
