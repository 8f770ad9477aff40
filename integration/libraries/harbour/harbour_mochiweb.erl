%% One connection to a web server is never closed.
-module(harbour_mochiweb).
-behaviour(harbour_use).
-export([hold/0, use/2, answer/1]).

hold() ->
    {ok, _} = mochiweb_http:start_link([{name, ?MODULE}, {ip, {127, 0, 0, 1}}, {port, 8080}, {loop, fun ?MODULE:answer/1}]),
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, 8080, [binary, {active, false}, {packet, http_bin}]),
    Socket.

use(Socket, N) ->
    Text = integer_to_binary(N),
    ok = gen_tcp:send(Socket, ["GET /", Text, " HTTP/1.1\r\nHost: harbour\r\n\r\n"]),
    {ok, {http_response, {1, 1}, 200, _}} = gen_tcp:recv(Socket, 0, 5000),
    Length = headers(Socket, 0),
    ok = inet:setopts(Socket, [{packet, raw}]),
    {ok, Text} = gen_tcp:recv(Socket, Length, 5000),
    ok = inet:setopts(Socket, [{packet, http_bin}]).

headers(Socket, Length) ->
    case gen_tcp:recv(Socket, 0, 5000) of
        {ok, {http_header, _, 'Content-Length', _, Text}} -> headers(Socket, binary_to_integer(Text));
        {ok, {http_header, _, _, _, _}} -> headers(Socket, Length);
        {ok, http_eoh} -> Length
    end.

answer(Request) ->
    "/" ++ Text = mochiweb_request:get(path, Request),
    mochiweb_request:ok({"text/plain", Text}, Request).
