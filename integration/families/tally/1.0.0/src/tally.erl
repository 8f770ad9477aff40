-module(tally).
-behaviour(gen_server).
-export([start_link/0, add/1, state/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

add(N) -> gen_server:call(?MODULE, {add, N}).

state() -> gen_server:call(?MODULE, state).

init([]) -> {ok, {sum, 0}}.

handle_call({add, N}, _From, {sum, Sum}) -> {reply, ok, {sum, Sum + N}};
handle_call(state, _From, State) -> {reply, State, State}.

handle_cast(_, State) -> {noreply, State}.
