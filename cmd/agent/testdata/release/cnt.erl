-module(cnt).
-behaviour(gen_server).
-export([start_link/0, next/0, say/1, init/1, handle_call/3, handle_cast/2, code_change/3]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).
next() -> gen_server:call(?MODULE, next).

%% Tells systemd, or who takes its place.
say(Text) ->
    {ok, Socket} = gen_udp:open(0, [local]),
    ok = gen_udp:send(Socket, {local, os:getenv("NOTIFY_SOCKET")}, 0, Text),
    gen_udp:close(Socket).

init([]) -> {ok, 0}.
handle_call(next, _From, N) -> {reply, {?VERSION, N + 1}, N + 1}.
handle_cast(_, N) -> {noreply, N}.

code_change(_From, N, _Extra) ->
    case ?VERSION of
        "1.2.0" -> error(no_way_from_here);
        _ -> {ok, N}
    end.
