%% Supervises the connections of one protocol, one process each.
-module(demo_conn_sup).
-behaviour(supervisor).

-export([start_link/2, init/1]).

start_link(Name, Module) ->
    supervisor:start_link({local, Name}, ?MODULE, Module).

init(Module) ->
    {ok, {#{strategy => simple_one_for_one}, [
        #{id => Module, start => {Module, start_link, []},
          restart => temporary, shutdown => 1000, modules => [Module]}
    ]}}.
