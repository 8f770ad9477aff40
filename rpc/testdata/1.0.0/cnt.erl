%% A counter; its state is {state, N}.
-module(cnt).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2]).

init([]) -> {ok, {state, 0}}.
handle_call(next, _, {state, N}) -> {reply, N + 1, {state, N + 1}};
handle_call(state, _, State) -> {reply, State, State}.
handle_cast({sleep, T}, State) -> timer:sleep(T), {noreply, State};
handle_cast(break, _) -> {noreply, broken}.
