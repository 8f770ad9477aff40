%% What the cache has need not be made again.
-module(harbour_cache_tab).
-behaviour(harbour_use).
-export([hold/0, use/2]).

hold() -> ets_cache:new(?MODULE, [{max_size, infinity}, {life_time, infinity}]).

use(_, N) ->
    {ok, N} = ets_cache:lookup(?MODULE, N, fun() -> {ok, N} end),
    {ok, 1} = ets_cache:lookup(?MODULE, 1, fun() -> {ok, forgotten} end),
    ok.
