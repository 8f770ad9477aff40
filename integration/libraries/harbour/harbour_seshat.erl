%% Counters are where they were, and count on.
-module(harbour_seshat).
-behaviour(harbour_use).
-export([hold/0, use/2]).

hold() ->
    _ = seshat:new_group(harbour),
    seshat:new(harbour, uses, [{uses, 1, counter, "Uses"}]).

use(Counters, N) ->
    ok = counters:add(Counters, 1, 1),
    Counters = seshat:fetch(harbour, uses),
    #{uses := #{uses := N}} = seshat:overview(harbour),
    ok.
