-module(demo_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

%% Listeners come last: whatever a connection needs is there before the first one.
init([]) ->
    {ok, {#{strategy => one_for_one}, [
        worker(demo_registry, demo_registry, []),
        worker(demo_stats, demo_stats, []),
        connections(demo_session_sup, demo_session),
        connections(demo_http_sup, demo_http),
        listener(demo_session_listener, session_port, demo_session_sup, [{packet, line}, {buffer, 8192}]),
        listener(demo_http_listener, http_port, demo_http_sup, [{packet, http_bin}])
    ]}}.

worker(Id, Module, Args) ->
    #{id => Id, start => {Module, start_link, Args}, modules => [Module]}.

connections(Name, Module) ->
    #{id => Name, start => {demo_conn_sup, start_link, [Name, Module]},
      type => supervisor, modules => [demo_conn_sup]}.

listener(Id, PortKey, Sup, Options) ->
    worker(Id, demo_listener, [PortKey, Sup, Options]).
