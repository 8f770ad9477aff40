%% Accepts the connections of one port and hands each to a process of its own.
-module(demo_listener).
-behaviour(gen_server).

-export([start_link/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% How long a system message may have to wait. While nobody accepts, the kernel queues what arrives.
-define(TURN_MS, 200).

-record(state, {socket, sup}).

start_link(PortKey, Sup, Options) ->
    gen_server:start_link(?MODULE, {PortKey, Sup, Options}, []).

init({PortKey, Sup, Options}) ->
    {ok, Port} = application:get_env(demo, PortKey),
    case gen_tcp:listen(Port, Options ++ common_options()) of
        {ok, Socket} -> {ok, #state{socket = Socket, sup = Sup}, 0};
        {error, Reason} -> {stop, {cannot_listen, Port, Reason}}
    end.

%% A client that does not read must not keep its process from being suspended:
%% send_timeout stays below the 5 s that release_handler waits.
common_options() ->
    [binary, {active, false}, {reuseaddr, true}, {backlog, 1024}, {nodelay, true},
     {send_timeout, 4000}, {send_timeout_close, true}].

handle_call(_Request, _From, State) ->
    {reply, {error, unknown}, State, 0}.

handle_cast(_Request, State) ->
    {noreply, State, 0}.

%% One turn for one connection, so that between any two the loop of gen_server is in charge:
%% it obeys a suspend, and goes on in the new code.
handle_info(timeout, State = #state{socket = Listen}) ->
    case gen_tcp:accept(Listen, ?TURN_MS) of
        {ok, Socket} ->
            hand_over(Socket, State),
            {noreply, State, 0};
        {error, closed} ->
            {stop, listener_closed, State};
        {error, Reason} when Reason =:= timeout; Reason =:= econnaborted ->
            {noreply, State, 0};
        {error, _NoResources} ->
            {noreply, State, ?TURN_MS}
    end;
handle_info(_Message, State) ->
    {noreply, State, 0}.

hand_over(Socket, #state{sup = Sup}) ->
    {ok, Pid} = supervisor:start_child(Sup, [Socket]),
    _ = gen_tcp:controlling_process(Socket, Pid),
    gen_server:cast(Pid, activate).
