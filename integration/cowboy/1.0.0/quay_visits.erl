-module(quay_visits).
-behaviour(gen_server).
-export([start_link/0, count/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

count() -> gen_server:call(?MODULE, count).

init([]) -> {ok, 0}.

handle_call(count, _From, N) -> {reply, N + 1, N + 1}.

handle_cast(_, State) -> {noreply, State}.
