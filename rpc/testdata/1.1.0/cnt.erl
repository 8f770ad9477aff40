%% A counter; its state is {state, N, upgraded}.
-module(cnt).
-behaviour(gen_server).
-export([init/1, handle_call/3, handle_cast/2, code_change/3]).

init([]) -> {ok, {state, 0, fresh}}.
handle_call(next, _, {state, N, From}) -> {reply, N + 1, {state, N + 1, From}};
handle_call(state, _, State) -> {reply, State, State}.
handle_cast({sleep, T}, State) -> timer:sleep(T), {noreply, State}.
code_change({down, _}, {state, N, _}, _) -> {ok, {state, N}};
code_change(_, {state, N}, _) -> {ok, {state, N, upgraded}}.
