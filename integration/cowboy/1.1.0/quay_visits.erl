%% The state has been a number until 1.0.0.
-module(quay_visits).
-behaviour(gen_server).
-export([start_link/0, count/0]).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

count() -> gen_server:call(?MODULE, count).

init([]) -> {ok, #{visits => 0}}.

handle_call(count, _From, #{visits := N}) -> {reply, N + 1, #{visits => N + 1}}.

handle_cast(_, State) -> {noreply, State}.

code_change({down, _}, #{visits := N}, []) -> {ok, N};
code_change(_, N, []) -> {ok, #{visits => N}}.
