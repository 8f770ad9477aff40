%% A node whose heartbeats come is up, and stays so: it is told once.
-module(harbour_aten).
-behaviour(harbour_use).
-export([hold/0, use/2]).

hold() ->
    beat(),
    aten_detector:register(node()),
    receive {node_event, _, down} -> ok after 5000 -> exit(not_registered) end,
    up().

%% The detector looks once a second.
up() ->
    beat(),
    receive {node_event, _, up} -> ok after 10 -> up() end.

%% An event that comes between two uses is found wrong by harbour_use.
use(ok, _) -> beat().

beat() ->
    _ = aten_sink:beat(node()),
    ok.
