%% One session of the line protocol. The process is the session: whatever it counts lives here only.
-module(demo_session).
-behaviour(gen_server).
-vsn(1).

-export([start_link/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, code_change/3]).

-record(state, {socket, id = <<"-">>, count = 0}).
-define(RECORD_VERSION, <<"1">>).

start_link(Socket) ->
    gen_server:start_link(?MODULE, Socket, []).

init(Socket) ->
    {ok, #state{socket = Socket}}.

handle_call(_Request, _From, State) ->
    {reply, {error, unknown}, State}.

handle_cast(activate, State) ->
    listen(State).

handle_info({tcp, Socket, Line}, State = #state{socket = Socket}) ->
    obey(demo_codec:decode(Line), State);
handle_info({tcp_closed, Socket}, State = #state{socket = Socket}) ->
    {stop, normal, State};
handle_info({tcp_error, Socket, _Reason}, State = #state{socket = Socket}) ->
    {stop, normal, State};
handle_info(_Message, State) ->
    {noreply, State}.

code_change(_OldVsn, State, _Extra) ->
    {ok, State}.

obey({<<"HELLO">>, Id}, State) ->
    reply([<<"HI ">>, Id], State#state{id = Id});
obey({<<"INC">>, _}, State = #state{count = Count}) ->
    reply(integer_to_binary(Count + 1), State#state{count = Count + 1});
obey({<<"STATE">>, _}, State = #state{id = Id, count = Count}) ->
    reply([Id, $\s, integer_to_binary(Count), $\s, ?RECORD_VERSION], State);
obey({<<"ECHO">>, Text}, State) ->
    reply(Text, State);
obey({<<"QUIT">>, _}, State) ->
    {stop, normal, State};
obey(_, State) ->
    reply(<<"ERR unknown command">>, State).

reply(Text, State = #state{socket = Socket}) ->
    case gen_tcp:send(Socket, demo_codec:encode(Text)) of
        ok -> listen(State);
        {error, _Gone} -> {stop, normal, State}
    end.

listen(State = #state{socket = Socket}) ->
    case inet:setopts(Socket, [{active, once}]) of
        ok -> {noreply, State};
        {error, _Gone} -> {stop, normal, State}
    end.
