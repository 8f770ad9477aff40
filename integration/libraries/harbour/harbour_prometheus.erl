%% No metric ever goes back.
-module(harbour_prometheus).
-behaviour(harbour_use).
-export([hold/0, use/2]).

hold() ->
    ok = prometheus_counter:new([{name, uses}, {help, "Uses"}, {labels, [by]}]),
    ok = prometheus_histogram:new([{name, sizes}, {help, "Sizes"}, {buckets, [1, 10, 100]}]).

use(ok, N) ->
    ok = prometheus_counter:inc(uses, [harbour]),
    ok = prometheus_histogram:observe(sizes, N),
    N = prometheus_counter:value(uses, [harbour]),
    Line = iolist_to_binary(io_lib:format("uses{by=\"harbour\"} ~b", [N])),
    {_, _} = binary:match(prometheus_text_format:format(), Line),
    ok.
