%% A stream that never ends: a number every fifty milliseconds, and the version that wrote it.
-module(quay_ticks).
-export([init/2, info/3]).

init(Req, _State) ->
    self() ! tick,
    {cowboy_loop, cowboy_req:stream_reply(200, #{<<"content-type">> => <<"text/plain">>}, Req), 1}.

info(tick, Req, N) ->
    _ = erlang:send_after(50, self(), tick),
    ok = cowboy_req:stream_body(io_lib:format("1.1.0 ~b~n", [N]), nofin, Req),
    {ok, Req, N + 1};
info(_, Req, N) ->
    {ok, Req, N}.
