%% One HTTP/1.1 connection. The socket parses (packet http_bin); requests that come in one piece are
%% answered one after the other, because the next is read only after an answer.
-module(demo_http).
-behaviour(gen_server).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-record(conn, {socket, method, target, keep = true}).

start_link(Socket) ->
    gen_server:start_link(?MODULE, Socket, []).

init(Socket) ->
    {ok, #conn{socket = Socket}}.

handle_call(_Request, _From, Conn) ->
    {reply, {error, unknown}, Conn}.

handle_cast(activate, Conn) ->
    listen(Conn).

handle_info({http, Socket, Event}, Conn = #conn{socket = Socket}) ->
    read(Event, Conn);
handle_info({tcp_closed, Socket}, Conn = #conn{socket = Socket}) ->
    {stop, normal, Conn};
handle_info({tcp_error, Socket, _Reason}, Conn = #conn{socket = Socket}) ->
    {stop, normal, Conn};
handle_info(_Message, Conn) ->
    {noreply, Conn}.

read({http_request, Method, {abs_path, Target}, Version}, Conn) ->
    listen(Conn#conn{method = Method, target = Target, keep = Version >= {1, 1}});
read({http_header, _, 'Connection', _, Value}, Conn) ->
    listen(Conn#conn{keep = keep(string:lowercase(Value), Conn#conn.keep)});
read({http_header, _, 'Content-Length', _, Length}, Conn) when Length =/= <<"0">> ->
    answer(demo_api:bad_request(), Conn#conn{keep = false});
read({http_header, _, 'Transfer-Encoding', _, _}, Conn) ->
    answer(demo_api:bad_request(), Conn#conn{keep = false});
read({http_header, _, _, _, _}, Conn) ->
    listen(Conn);
read(http_eoh, Conn = #conn{method = Method, target = Target}) ->
    %% By name, not through its module: a downgrade removes that one while requests are under way.
    gen_server:cast(demo_stats, request),
    answer(demo_api:handle(Method, Target), Conn);
read(_Malformed, Conn) ->
    answer(demo_api:bad_request(), Conn#conn{keep = false}).

keep(<<"close">>, _) -> false;
keep(<<"keep-alive">>, _) -> true;
keep(_, Keep) -> Keep.

answer({Status, Body}, Conn = #conn{socket = Socket, keep = Keep}) ->
    case gen_tcp:send(Socket, response(Status, Body, Keep)) of
        ok when Keep -> listen(Conn);
        _ -> {stop, normal, Conn}
    end.

response(Status, Body, Keep) ->
    [<<"HTTP/1.1 ">>, Status, <<"\r\nContent-Type: text/plain\r\nContent-Length: ">>,
     integer_to_binary(iolist_size(Body)), <<"\r\nConnection: ">>, connection(Keep), <<"\r\n\r\n">>, Body].

connection(true) -> <<"keep-alive">>;
connection(false) -> <<"close">>.

listen(Conn = #conn{socket = Socket}) ->
    case inet:setopts(Socket, [{active, once}]) of
        ok -> {noreply, Conn};
        {error, _Gone} -> {stop, normal, Conn}
    end.
