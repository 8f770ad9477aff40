%% Counts requests since it started, which an upgrade may have done long after the node.
-module(demo_stats).
-behaviour(gen_server).

-export([start_link/0, text/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-record(state, {requests = 0, started}).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec text() -> iodata().
text() ->
    #{requests := Requests, uptime_ms := Uptime} = gen_server:call(?MODULE, read, infinity),
    {ok, Codec} = application:get_key(demo_codec, vsn),
    io_lib:format("requests ~b~nuptime_ms ~b~ncodec ~s", [Requests, Uptime, Codec]).

init([]) ->
    {ok, #state{started = now_ms()}}.

handle_call(read, _From, State = #state{requests = Requests, started = Started}) ->
    {reply, #{requests => Requests, uptime_ms => now_ms() - Started}, State};
handle_call(_Request, _From, State) ->
    {reply, {error, unknown}, State}.

handle_cast(request, State = #state{requests = Requests}) ->
    {noreply, State#state{requests = Requests + 1}};
handle_cast(_Message, State) ->
    {noreply, State}.

now_ms() ->
    erlang:monotonic_time(millisecond).
